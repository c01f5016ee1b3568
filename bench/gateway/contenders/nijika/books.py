"""Whether what was charged is what was answered, and whether all of it adds up."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.gateway import database
from bench.gateway.processes import ROOT, python
from nijika.database import Connection

SETTLE_SECONDS = 30.0
POLL_SECONDS = 0.05


@dataclass
class Ledger:
    """The ledger behind `file`, a config.toml, in the database of this URL."""

    url: str
    file: Path
    is_priced: bool
    charged_before: int = 0

    def mark(self) -> None:
        """What is charged from here on is what the next `audit` looks at."""
        self.charged_before = database.work(self.url, _state)[1]

    def settle(self) -> None:
        """Return when nothing is held: calls that the load's end cut off are finished and paid for, or refunded."""
        deadline = time.monotonic() + SETTLE_SECONDS
        before: tuple[int, int, int] | None = None
        while time.monotonic() < deadline:
            now = database.work(self.url, _state)
            if now[0] == 0 and now == before:
                return
            before = now
            time.sleep(POLL_SECONDS)

    def audit(self, answers: int, under_way: int) -> list[str]:
        """Every answer was charged, and beyond these at most what was under way at the end."""
        held, captured, _ = database.work(self.url, _state)
        charged = captured - self.charged_before
        wrong = [f"{held} charges stay open"] if held else []
        least, most = (answers, answers + under_way) if self.is_priced else (0, 0)
        if not least <= charged <= most:
            wrong.append(f"{answers} answers came, and {charged} calls were charged")
        return wrong

    def close(self) -> list[str]:
        """What `nijika ledger verify` finds."""
        words = python("-m", "nijika", "ledger", "verify", "--config", self.file, "--json")
        done = subprocess.run(  # noqa: S603 (our own words)
            list(map(str, words)), cwd=ROOT, capture_output=True, text=True, check=False
        )
        try:
            found: dict[str, int] = json.loads(done.stdout)
        except ValueError:
            return [f"nijika ledger verify said: {done.stderr.strip()}"]
        return [f"{name}: {count} violations" for name, count in found.items() if count]


async def _state(connection: Connection) -> tuple[int, int, int]:
    """How many charges are open, captured and refunded."""
    row = await connection.fetchrow(
        """SELECT count(*) FILTER (WHERE state = 'held'), count(*) FILTER (WHERE state = 'captured'),
                  count(*) FILTER (WHERE state = 'refunded') FROM charges"""
    )
    assert row is not None, "an aggregate has one row"
    return tuple(row)
