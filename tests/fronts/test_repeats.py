"""A front may send a call again when its gateway's connection breaks: with an Idempotency-Key it is one call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.conftest import Start
from tests.fronts.callers import caller
from tests.fronts.certificate import Certificate
from tests.fronts.front import running
from tests.gateway import CHAIN, configuration, upstream_table
from tests.peers import answers, streams
from tests.peers.patience import within
from tests.peers.upstream import Upstream

SOLD = """
[[routes]]
use = "health"
[[routes]]
use = "proxy"
path = "/sold"
methods = ["GET"]
upstream = "worker"
price = "1"
"""


class Cable:
    """What lies between a front and the gateway at `place` (host:port)."""

    def __init__(self, place: str) -> None:
        self._host, _, port = place.partition(":")
        self._port = int(port)
        self._ends: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """The place of its other end."""
        async with await asyncio.start_server(self._join, "127.0.0.1", 0) as server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """All connections break; later ones are not concerned."""
        for end in self._ends:
            end.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        further, other = await asyncio.open_connection(self._host, self._port)
        self._ends |= {writer, other}
        await asyncio.gather(_copy(reader, other), _copy(further, writer))
        self._ends -= {writer, other}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def test_a_call_whose_connection_broke_behind_the_front_is_paid_for_once(
    kind: str, tmp_path: Path, start: Start, upstream: Upstream, certificate: Certificate
) -> None:
    """nginx and Caddy repeat a GET by themselves, which is then refused as being in flight; haproxy says 502."""
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200, b"cut-out")))
    async with start(configuration(upstream_table(upstream.url), chain=CHAIN, routes=SOLD)) as gateway:
        customer = await gateway.customer()
        fields = {**customer.fields, "Idempotency-Key": "once"}
        cable = Cable(urlsplit(gateway.url).netloc)
        async with cable.laid() as place:
            with running(kind, tmp_path / kind, (place, place), certificate) as front:
                async with caller(front) as client:
                    call = asyncio.create_task(client.get("/sold", headers=fields))
                    await upstream.request()
                    cable.cut()
                    broken = await call
                    gate.set()
                    async with within("the result"):
                        while (again := await client.get("/sold", headers=fields)).status_code == 409:
                            await asyncio.sleep(0.05)

        assert broken.status_code == (502 if kind == "haproxy" else 409)
        assert (again.status_code, again.content) == (200, b"cut-out")
        assert (await customer.settled())["spent"] == "1"
