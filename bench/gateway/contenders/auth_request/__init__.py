"""What is usually built to get paid: nginx asks a service of one's own before each call (nginx.conf, debit.py).

Limits by key, keys and balances in PostgreSQL, one statement a call, a pool of connections, keep-alive to both. It
gives nothing back for calls that fail; nobody counts that against it here.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.gateway import database, ports
from bench.gateway.contenders.auth_request.debit import enrol
from bench.gateway.contenders.nginx import NGINX, find
from bench.gateway.contenders.uv import uvloop
from bench.gateway.processes import python, running
from bench.gateway.serving import Contender, Ground, Served, filled

START_SECONDS = 20
CONFIGURATION = Path(__file__).with_name("nginx.conf")


class AuthRequest(Contender):
    """nginx and an aiohttp service, on one core together."""

    name = "auth_request"
    what = "nginx + auth_request to an aiohttp/asyncpg debit service + limit_req"

    def install(self) -> str:
        """The version of nginx."""
        uvloop()
        return NGINX.install()

    @contextmanager
    def serve(self, ground: Ground) -> Iterator[Served]:
        """Run both."""
        url, key = database.fresh(ground.database), secrets.token_urlsafe(32)
        database.work(url, lambda connection: enrol(connection, key))
        debit, port, place = ports.free(), ports.free(), ground.cores.gateway()
        values = {"upstream": ground.upstream, "debit": debit, "port": port}
        words: list[str | Path] = [find(), "-c", filled(CONFIGURATION, ground.folder, **values), "-e", "stderr"]
        service = python("-m", "bench.gateway.contenders.auth_request.debit", str(debit), url)
        with (
            running(service, cores=place, log=ground.folder / "debit.log", variables=uvloop()) as second,
            running(words, cores=place, log=ground.folder / "log", folder=ground.folder) as first,
        ):
            second.await_listening(debit, START_SECONDS)
            first.await_listening(port, START_SECONDS)
            yield Served(port, [first, second], place, callers=[{"X-API-Key": key}])
