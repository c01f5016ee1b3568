"""The worker's command line: one process that listens, works, and stops when it is told to."""

import argparse
import asyncio
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

from aiohttp import web

from worker import engines, parent
from worker.fetch import Fetcher
from worker.server import Settings, Worker, runner


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status: 0, or 1 with a sentence on stderr."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Requests that are no HTTP are answered with 400; a stranger's nonsense is no reason for a traceback.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_serve(options))
    except _CannotStart as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


class _CannotStart(Exception):
    """What keeps the worker from serving, in a sentence."""


async def _serve(options: argparse.Namespace) -> None:
    stop = _stop_on_signals()
    watch = asyncio.create_task(parent.outlive(stop)) if options.exit_with_parent else None
    worker = Worker(_settings(options))
    run = runner(worker, options.drain_seconds)
    await run.setup()
    try:
        await _listen(run, options.host, options.port)
        worker.loading.add_done_callback(lambda _: _stop_unless_loaded(worker, stop))
        await stop.wait()
        if _failure(worker):
            raise _CannotStart(f"The engine {options.engine} cannot be loaded: {_failure(worker)}")
    finally:
        if watch:
            watch.cancel()
        await run.cleanup()


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        engine=options.engine,
        body_bytes_max=int(options.body_mib * 2**20),
        pixels_max=int(options.pixels_max * 1e6),
        waiting_max=options.waiting_max,
        codec_threads=options.codec_threads,
        fetcher=None if options.no_fetch else Fetcher(),
    )


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop


async def _listen(run: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(run, host, port).start()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "the port is taken; choose another one with --port" if taken else os.strerror(error.errno or 0)
        raise _CannotStart(f"Cannot listen on {host}:{port}: {reason}.") from error
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"listening on http://{shown}:{run.addresses[0][1]}\n")
    sys.stdout.flush()


def _stop_unless_loaded(worker: Worker, stop: asyncio.Event) -> None:
    if _failure(worker):
        stop.set()


def _failure(worker: Worker) -> BaseException | None:
    loading = worker.loading
    return loading.exception() if loading.done() and not loading.cancelled() else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker",
        description="Remove the background of pictures over HTTP: POST /v1/cutout, /v1/alpha; GET /info tells more.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--engine",
        choices=engines.NAMES,
        default="auto",
        help="what finds the foreground; auto takes the best",
    )
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=_number(0, 65535), default=8001, help="port to listen on; 0 takes a free one")
    add("--pixels-max", type=_number(0.000001, 500), default=50, metavar="MEGAPIXELS", help="largest picture taken")
    add(
        "--body-mib",
        type=_number(0.001, 1024),
        default=25,
        metavar="MIB",
        help="largest body or fetched file taken",
    )
    add(
        "--waiting-max",
        type=_number(0, 1000),
        default=8,
        metavar="N",
        help="pictures that may wait behind one in work",
    )
    add("--codec-threads", type=_number(1, 64), default=2, metavar="N", help="pictures decoded or encoded at a time")
    add(
        "--drain-seconds",
        type=_number(0, 3600),
        default=10,
        metavar="S",
        help="time to finish requests when stopped",
    )
    add("--no-fetch", action="store_true", help='refuse JSON {"url": …}; the worker then opens no connection itself')
    add("--exit-with-parent", action="store_true", help="stop when the process that started this one is gone")
    return parser


def _number(least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = type(least)(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
