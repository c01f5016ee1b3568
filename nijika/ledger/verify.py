"""Whether the money adds up: each invariant is a query that counts its violations."""

from nijika.database import Connection

INVARIANTS = {
    "conservation": """
        SELECT count(*) FROM accounts
         WHERE available + held + spent <> granted OR least(available, held, spent, granted) < 0""",
    "held is the sum of open charges": """
        SELECT count(*) FROM accounts a
          FULL JOIN (SELECT account, sum(held) AS held FROM charges WHERE state = 'held' GROUP BY account) c
            ON c.account = a.id
         WHERE coalesce(a.held, 0) <> coalesce(c.held, 0)""",
    "spent is the sum captured": """
        SELECT count(*) FROM accounts a
          FULL JOIN (SELECT account, sum(spent) AS spent
                       FROM (SELECT account, captured AS spent FROM charges
                              UNION ALL SELECT account, spent FROM usage_daily) s
                      GROUP BY account) c ON c.account = a.id
         WHERE coalesce(a.spent, 0) <> coalesce(c.spent, 0)""",
    "balances are the replay of the journal": """
        SELECT count(*) FROM accounts a
          FULL JOIN (SELECT account, sum(available) AS available, sum(held) AS held,
                            sum(granted) AS granted, sum(spent) AS spent
                       FROM (SELECT account, available, held, granted, spent FROM journal
                              UNION ALL SELECT account, available, 0, granted, spent FROM journal_monthly) e
                      GROUP BY account) j ON j.account = a.id
         WHERE (coalesce(a.available, 0), coalesce(a.held, 0), coalesce(a.granted, 0), coalesce(a.spent, 0))
            <> (coalesce(j.available, 0), coalesce(j.held, 0), coalesce(j.granted, 0), coalesce(j.spent, 0))""",
    "every charge has its hold entry": """
        SELECT count(*) FROM charges c
          LEFT JOIN journal j ON j.id = c.id AND j.step = 0 AND j.kind = 'hold'
                             AND j.account = c.account AND j.held = c.held
         WHERE j.id IS NULL""",
    "settled if and only if one matching settlement": """
        SELECT count(*) FROM charges c
          LEFT JOIN journal j ON j.id = c.id AND j.step = 1
         WHERE (c.state = 'held') <> (j.id IS NULL)
            OR j.account <> c.account OR j.held <> -c.held OR j.spent <> c.captured
            OR j.kind <> CASE c.state WHEN 'captured' THEN 'capture' ELSE 'refund' END""",
    "no journal row without its charge": """
        SELECT count(*) FROM journal j LEFT JOIN charges c ON c.id = j.id
         WHERE j.kind <> 'grant' AND c.id IS NULL""",
    "none open long past its deadline": """
        SELECT count(*) FROM charges
         WHERE state = 'held' AND deadline < now() - interval '60 seconds'""",
    "no charge without account": """
        SELECT count(*) FROM charges c LEFT JOIN accounts a ON a.id = c.account WHERE a.id IS NULL""",
}
"""Each invariant in words, and the query that counts where it is broken."""


async def verify(connection: Connection, *, seconds: float | None = None) -> dict[str, int]:
    """The violations of each invariant, all counted at one moment in time; each may take `seconds`."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return {name: await connection.fetchval(sql, timeout=seconds) for name, sql in INVARIANTS.items()}
