"""How large the database is."""

from nijika.database import Connection


async def of_database(connection: Connection) -> int:
    """The bytes that it takes on its disk, indexes included."""
    size: int = await connection.fetchval("SELECT pg_database_size(current_database())")
    return size
