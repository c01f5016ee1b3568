"""LiteLLM's proxy: a pass-through endpoint with its master key (config.yaml), one worker, its own choice of server."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.gateway import ports
from bench.gateway.processes import running
from bench.gateway.programs import environment
from bench.gateway.serving import Contender, Ground, Served, filled

# Not 1.82.7, 1.82.8 or 1.107.0, which were tampered with.
VERSION = "1.105.7"
START_SECONDS = 120
CONFIGURATION = Path(__file__).with_name("config.yaml")
# Source: docs.litellm.ai/docs/proxy/prod: production mode, errors only. The list of prices comes from the package.
VARIABLES = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


class LiteLLM(Contender):
    """A pass-through endpoint."""

    name = "litellm"
    what = "pass-through endpoint with a key"

    def install(self) -> str:
        """Some 740 MB, once."""
        environment(f"litellm[proxy]=={VERSION}")
        return VERSION

    @contextmanager
    def serve(self, ground: Ground) -> Iterator[Served]:
        """Run it."""
        port, place, key = ports.free(), ground.cores.gateway(), f"sk-{secrets.token_urlsafe(32)}"
        file = filled(CONFIGURATION, ground.folder, upstream=ground.upstream, key=key)
        program = environment(f"litellm[proxy]=={VERSION}") / "litellm"
        address = ("--host", "127.0.0.1", "--port", str(port))
        words = (program, "--config", file, *address, "--num_workers", "1", "--keepalive_timeout", "75")
        log = ground.folder / "log"
        with running(words, cores=place, log=log, folder=ground.folder, variables=VARIABLES) as process:
            process.await_listening(port, START_SECONDS)
            yield Served(port, [process], place, callers=[{"Authorization": f"Bearer {key}"}])
