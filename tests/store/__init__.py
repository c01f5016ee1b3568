"""Keys and schema, as PostgreSQL holds them."""
