"""A picture's way through the threads: what is held while they work, and how long anybody waits for them."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from tests.worker import pictures
from worker import pixels, wishes
from worker.device import Device, Models
from worker.engines.classic import Classic
from worker.engines.lanczos import Lanczos
from worker.pixels import Picture
from worker.problems import TooLate
from worker.studio import Done, Limits, Studio

FILE = pictures.file(pictures.noise(60, 40))
WISH = wishes.Cutout(format="png")


class Gate:
    """A place in a thread that is waited at until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def wait(self) -> None:
        self.entered.set()
        self.opened.wait(20)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def device() -> AsyncIterator[Device]:
    device = Device(lambda: Models(Classic(), Lanczos()), 9)
    device.start()
    yield device
    await device.close()


@pytest.fixture
def slow(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Every picture is decoded only when the gate is opened."""
    decode = pixels.decode

    def slowly(data: bytes, pixels_max: int) -> Picture:
        gate.wait()
        return decode(data, pixels_max)

    monkeypatch.setattr(pixels, "decode", slowly)
    return gate


def studio(device: Device, *, patience_seconds: float = 60, codec_threads: int = 2, room: int = 10**6) -> Studio:
    return Studio(device, Limits(10**6, 10**6, room, 9, patience_seconds, codec_threads))


async def begun(work: Studio, gate: Gate) -> "asyncio.Task[Done]":
    task = asyncio.create_task(work.cutout(FILE, None, WISH))
    await asyncio.to_thread(gate.entered.wait, 10)
    return task


async def turns() -> None:
    """Let everything happen that would happen without the thread."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_whoever_hangs_up_keeps_his_room_as_long_as_a_thread_decodes_for_him(device: Device, slow: Gate) -> None:
    work = studio(device, room=60 * 40)
    first = await begun(work, slow)
    second = asyncio.create_task(work.cutout(FILE, None, WISH))

    for _ in range(3):  # impatience does not help
        first.cancel()
        await turns()
    slow.entered.clear()
    await turns()

    assert not first.done()
    assert work.places.left == 10 - 2
    slow.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).engine == "classic"
    assert work.places.left == 10
    work.close()


async def test_whoever_hangs_up_before_a_thread_has_begun_leaves_at_once(device: Device, slow: Gate) -> None:
    work = studio(device, codec_threads=1)
    first = await begun(work, slow)
    second = asyncio.create_task(work.cutout(FILE, None, WISH))
    await turns()

    second.cancel()
    await turns()

    assert second.done()
    assert not first.done()
    slow.opened.set()
    await first
    work.close()


async def test_a_failure_that_nobody_waits_for_any_more_is_no_noise(
    device: Device, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: noise.append(context))

    def fail(_data: bytes, _pixels_max: int) -> Picture:
        gate.wait()
        raise RuntimeError("too late to tell")

    monkeypatch.setattr(pixels, "decode", fail)
    work = studio(device)
    first = await begun(work, gate)
    first.cancel()
    await turns()
    gate.opened.set()

    with pytest.raises(asyncio.CancelledError):
        await first
    await turns()

    assert noise == []
    work.close()


async def test_patience_ends_the_wait_for_a_thread(device: Device, slow: Gate) -> None:
    work = studio(device, codec_threads=1)
    first = await begun(work, slow)
    hasty = studio(device, patience_seconds=0.05)
    hasty._codecs = work._codecs

    async with asyncio.timeout(10):
        with pytest.raises(TooLate):
            await hasty.cutout(FILE, None, WISH)

    slow.opened.set()
    assert (await first).engine == "classic"
    work.close()


async def test_what_a_thread_has_begun_is_finished_whatever_the_patience(device: Device, slow: Gate) -> None:
    work = studio(device, patience_seconds=0.05)
    first = await begun(work, slow)
    deadline = asyncio.get_running_loop().time() + 0.2
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)

    assert not first.done()
    slow.opened.set()
    with pytest.raises(TooLate):  # by the device, whose turn comes after
        await first
    work.close()


@pytest.mark.parametrize("way", ["cutout", "upscale"])
async def test_patience_ends_the_wait_for_the_models(gate: Gate, way: str) -> None:
    def make() -> Models:
        gate.wait()
        return Models(Classic(), Lanczos())

    device = Device(make, 9)
    device.start()
    work = studio(device, patience_seconds=0.05)
    wish = wishes.Upscale("png", 2, 90)

    async with asyncio.timeout(10):
        with pytest.raises(TooLate):
            await (work.cutout(FILE, None, WISH) if way == "cutout" else work.upscale(FILE, wish))

    assert work.places.left == 10
    gate.opened.set()
    assert (await device.models()).engine.name == "classic"  # it goes on being loaded for the next
    work.close()
    await device.close()
