"""One body of 200 MiB up, and one down: how long it takes, and how much memory it costs."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from bench.gateway.bench import Bench, tell
from bench.gateway.exchange import OK, Fields, connect
from bench.gateway.programs import Unavailable
from bench.gateway.serving import Served
from bench.gateway.sizes import MIB, TRANSFER_BYTES
from bench.gateway.table import Table

SAMPLE_SECONDS = 0.02
_BLOCK = bytes(MIB)

Move = Callable[[http.client.HTTPConnection, str, Fields], None]


def measure(bench: Bench) -> Iterator[Table]:
    """One table; each contender is fresh for each direction."""
    note = "RSS: the most during the transfer less what it was before. A fresh process for each direction, one try."
    columns = ("contender", "up s", "RSS MiB", "down s", "RSS MiB")
    table = Table(f"Bodies of {TRANSFER_BYTES // MIB} MiB", note, columns)
    for name in list(bench.contenders):
        cells: list[str] = []
        figures: dict[str, object] = {"contender": name}
        for direction, move in (("up", _upload), ("down", _download)):
            seconds, growth = _moved(bench, name, move)
            cells += [_shown(seconds, ".2f"), _shown(growth if name != "direct" else None, ".1f")]
            figures |= {f"{direction}_seconds": seconds, f"{direction}_rss_mib": growth}
        table.add(name, *cells, **figures)
        tell(f"transfer: {name}")
    yield table


def _moved(bench: Bench, name: str, move: Move) -> tuple[float | None, float | None]:
    try:
        with bench.alone(name) as served, closing(connect(served.port)) as connection, _Watch(served) as watch:
            began = time.perf_counter()
            move(connection, served.prefix, served.callers[0])
            seconds = time.perf_counter() - began
    except (Unavailable, OSError, http.client.HTTPException) as error:
        tell(f"{name} does not take it: {error or type(error).__name__}")
        return None, None
    return seconds, watch.growth


def _upload(connection: http.client.HTTPConnection, prefix: str, fields: Fields) -> None:
    connection.putrequest("POST", f"{prefix}/upload")
    for field, text in {"Content-Type": "application/octet-stream", "Content-Length": TRANSFER_BYTES, **fields}.items():
        connection.putheader(field, str(text))
    connection.endheaders()
    for _ in range(TRANSFER_BYTES // len(_BLOCK)):
        connection.send(_BLOCK)
    _finish(connection, None)


def _download(connection: http.client.HTTPConnection, prefix: str, fields: Fields) -> None:
    connection.request("GET", f"{prefix}/download", headers=dict(fields))
    _finish(connection, TRANSFER_BYTES)


def _finish(connection: http.client.HTTPConnection, expected: int | None) -> None:
    answer = connection.getresponse()
    received = 0
    while piece := answer.read(MIB):
        received += len(piece)
    if answer.status != OK or expected not in {None, received}:
        raise Unavailable(f"It answers {answer.status} with {received} bytes")


def _shown(figure: float | None, form: str) -> str:
    return "-" if figure is None else format(figure, form)


class _Watch:
    """The most memory that a contender has during the block."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="rss", daemon=True)
        self._before = self._most = served.rss_mib()

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth(self) -> float:
        """MiB."""
        return self._most - self._before

    def _look(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._most = max(self._most, self._served.rss_mib())
