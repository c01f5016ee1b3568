"""The worker's command line: one process that listens, works, and stops when it is told to."""

import argparse
import asyncio
import errno
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal

from aiohttp import web

from worker import engines, parent
from worker.fetch import Fetcher
from worker.problems import EngineGone, EngineMissing
from worker.server import Settings, Worker, runner


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status: 0, or 1 with a sentence on stderr."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Requests that are no HTTP are answered with 400; a stranger's nonsense is no reason for a traceback.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_serve(options))
    except _Failed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


class _Failed(Exception):
    """What keeps the worker from serving, in a sentence."""


async def _serve(options: argparse.Namespace) -> None:
    stop = _stop_on_signals()
    worker = Worker(_settings(options))
    run = runner(worker, options.drain_seconds)
    await run.setup()
    device = asyncio.create_task(_watch(worker, stop))
    family = asyncio.create_task(parent.outlive(stop)) if options.exit_with_parent else None
    try:
        await _listen(run, options.host, options.port)
        await stop.wait()
        if device.done():
            device.result()
    finally:
        for watch in filter(None, (device, family)):
            watch.cancel()
        await run.cleanup()


async def _watch(worker: Worker, stop: asyncio.Event) -> None:
    try:
        await worker.device.models()
    except EngineMissing as problem:
        # A supervisor could only start it again and again; like this, /ready tells whoever asks.
        sys.stderr.write(
            f"{problem.detail} Every picture is answered 503 until the worker is started with what it needs.\n"
        )
        return
    except EngineGone:
        pass
    await worker.device.until_gone()
    stop.set()
    raise _Failed(f"The engine has ended, and the worker with it: {worker.device.failure!r}.")


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        engine=options.engine,
        compiles=options.compile,
        upscaler=None if options.upscaler == "none" else options.upscaler,
        weights=options.weights,
        upscaler_weights=options.upscaler_weights,
        body_bytes_max=int(options.body_mib * 2**20),
        pixels_max=int(options.pixels_max * 1e6),
        output_pixels_max=int(options.output_pixels_max * 1e6),
        pixels_in_work_max=int(options.pixels_in_work * 1e6),
        waiting_max=options.waiting_max,
        patience_seconds=options.patience_seconds,
        codec_threads=options.codec_threads,
        price_per_megapixel=options.price_per_megapixel,
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
        raise _Failed(f"Cannot listen on {host}:{port}: {reason}.") from error
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"listening on http://{shown}:{run.addresses[0][1]}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker",
        description="Work on pictures over HTTP: POST /v1/cutout, /v1/alpha, /v1/upscale; GET /info tells more.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for add in (_what, _where, _how_much):
        add(parser.add_argument)
    return parser


def _what(add: Callable[..., object]) -> None:
    best = "what finds the foreground; auto: birefnet when --weights is given, else classic"
    add("--engine", choices=engines.NAMES, default="auto", help=best)
    where = "a variant, a folder, a file or ID@COMMIT of the hub with the engine's weights; VARIANT=WHERE names them"
    add("--weights", metavar="WHERE", help=where)
    add(
        "--compile", action="store_true", help="compile the engine's network: minutes at the start, faster from then on"
    )
    upscalers = (*engines.UPSCALERS, "none")
    add("--upscaler", choices=upscalers, default="lanczos", help="what enlarges; none: no /v1/upscale")
    add("--upscaler-weights", metavar="WHERE", help="a folder with the upscaler's weights")
    price = "tell X-Nijika-Cost: so many credits for a megapixel that comes in"
    add("--price-per-megapixel", type=_amount, metavar="CREDITS", help=price)


def _where(add: Callable[..., object]) -> None:
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=_number(0, 65535), default=8001, help="port to listen on; 0 takes a free one")
    add(
        "--no-fetch",
        action="store_true",
        help="refuse addresses of pictures; the worker then opens no connection itself",
    )
    add("--exit-with-parent", action="store_true", help="stop when the process that started this one is gone")
    add("--drain-seconds", type=_number(0, 3600), default=10, metavar="S", help="time to finish requests when stopped")


def _how_much(add: Callable[..., object]) -> None:
    size = {"metavar": "MEGAPIXELS"}
    megapixels, usual = _number(0.000001, 500), Settings()
    add("--pixels-max", type=megapixels, default=usual.pixels_max / 1e6, **size, help="largest picture taken")
    add("--output-pixels-max", type=megapixels, default=usual.output_pixels_max / 1e6, **size, help="largest one made")
    add("--body-mib", type=_number(0.001, 1024), default=25, metavar="MIB", help="largest body or fetched file taken")
    room = "pixels decoded at a time, in all; about 12 bytes each"
    add("--pixels-in-work", type=_number(0.1, 100_000), default=usual.pixels_in_work_max / 1e6, **size, help=room)
    waiting = {"type": _number(0, 1000), "default": usual.waiting_max, "metavar": "N"}
    add("--waiting-max", **waiting, help="pictures that may wait behind one in work")
    patience = {"type": _number(0.1, 3600), "default": usual.patience_seconds, "metavar": "S"}
    add("--patience-seconds", **patience, help="how long a picture may wait")
    threads = {"type": _number(1, 64), "default": usual.codec_threads, "metavar": "N"}
    add("--codec-threads", **threads, help="pictures decoded or encoded at a time")


def _amount(text: str) -> Decimal:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f'{text} is no amount such as "0.01", with at most six decimals')
    return Decimal(text)


def _number(least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = type(least)(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
