"""express-gateway, from npm: a key and a limit in front of a proxy (gateway.config.yml), as its documentation has it.

It keeps users in Redis; here in its own stand-in for Redis in the same process, which spares it every round trip.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.gateway import ports
from bench.gateway.contenders.plain import version
from bench.gateway.exchange import OK, connect
from bench.gateway.processes import running
from bench.gateway.programs import Unavailable, debian, npm
from bench.gateway.serving import Contender, Ground, Served, filled

VERSION = "1.16.11"
START_SECONDS = 30
HERE = Path(__file__).parent
CREATED = 201


class ExpressGateway(Contender):
    """One process of Node."""

    name = "express_gateway"
    what = "key and rate limit"

    def install(self) -> str:
        """Its version and that of Node."""
        npm(f"express-gateway@{VERSION}")
        return f"{VERSION}, node {version(debian('node', 'nodejs'), '--version')}"

    @contextmanager
    def serve(self, ground: Ground) -> Iterator[Served]:
        """Run it, and make a user."""
        folder, place = npm(f"express-gateway@{VERSION}"), ground.cores.gateway()
        port, admin = ports.free(), ports.free()
        filled(HERE / "gateway.config.yml", ground.folder, port=port, admin=admin, upstream=ground.upstream)
        shutil.copy(HERE / "system.config.yml", ground.folder)
        shutil.copytree(
            folder / "node_modules" / "express-gateway" / "lib" / "config" / "models", ground.folder / "models"
        )
        variables = {
            "EG_CONFIG_DIR": str(ground.folder),
            "NODE_ENV": "production",
            "LOG_LEVEL": "error",
        }
        words = [debian("node", "nodejs"), folder / "node_modules" / "express-gateway" / "lib" / "index.js"]
        log = ground.folder / "log"
        with running(words, cores=place, log=log, folder=ground.folder, variables=variables) as process:
            process.await_listening(admin, START_SECONDS)
            process.await_listening(port, START_SECONDS)
            yield Served(port, [process], place, callers=[{"Authorization": f"apiKey {_key(admin)}"}])


def _key(admin: int) -> str:
    """A new user's key, made the way that the documentation shows: by the admin API."""
    user = _made(admin, "/users", {"username": "caller", "firstname": "A", "lastname": "Caller"})
    key = _made(admin, "/credentials", {"consumerId": user["id"], "type": "key-auth", "credential": {}})
    return f"{key['keyId']}:{key['keySecret']}"


def _made(admin: int, path: str, what: dict[str, object]) -> dict[str, Any]:
    connection = connect(admin)
    connection.request("POST", path, json.dumps(what), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status not in {OK, CREATED}:
        raise Unavailable(f"Its admin API answers {answer.status} to {path}: {body[:200].decode(errors='replace')}")
    made: dict[str, Any] = json.loads(body)
    return made
