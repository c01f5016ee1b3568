"""nijika as it is: `nijika serve` on config.toml, with a database, keys and accounts of its own."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.gateway import database, ports
from bench.gateway.contenders.nijika.books import Ledger
from bench.gateway.contenders.nijika.callers import enrol
from bench.gateway.processes import python, running
from bench.gateway.serving import NOBODY, Contender, Ground, Served, filled
from nijika.store.migrate import migrate

START_SECONDS = 30
CONFIGURATION = Path(__file__).with_name("config.toml")


@dataclass
class Nijika(Contender):
    """One of the routes of config.toml, called with the keys of so many accounts (0: without a key)."""

    name: str
    what: str
    prefix: str
    accounts: int = 0
    processes: int = 1

    def install(self) -> str:
        """It is here."""
        return ""

    @contextmanager
    def serve(self, ground: Ground) -> Iterator[Served]:
        """Run it, with callers who can pay."""
        url, port, secret = database.fresh(ground.database), ports.free(), secrets.token_urlsafe(32)
        database.work(url, migrate)
        keys = database.work(url, lambda connection: enrol(connection, secret, self.accounts))
        values = {"port": port, "processes": self.processes, "secret": secret, "database": url}
        file = filled(CONFIGURATION, ground.folder, upstream=ground.upstream, **values)
        place = ground.cores.gateway(self.processes)
        words = python("-m", "nijika", "serve", "--config", file, "--data", ground.folder / "data")
        with running(words, cores=place, log=ground.folder / "log") as process:
            process.await_listening(port, START_SECONDS)
            callers = [{"X-API-Key": key} for key in keys] or NOBODY
            yield Served(port, [process], place, self.prefix, callers, Ledger(url, file, self.prefix == "/paid"))
