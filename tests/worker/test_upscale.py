"""Larger pictures: the right size, alpha beside colour, a cap, and a network's tiles through the queue of the device."""

import asyncio
import json
import threading
import time
import weakref
from collections.abc import Sequence

import aiohttp
import cv2
import numpy as np
import pytest
from PIL import Image

from tests.worker import pictures
from tests.worker.conftest import Start
from tests.worker.test_server import SCENE, problem
from worker import engines, upscaling
from worker.device import TILES_AT_ONCE
from worker.engines.lanczos import Lanczos, Whole
from worker.pixels import Bytes

RGB = pictures.noise(60, 40)
SMALL = pictures.file(RGB)
TILE = 20


class Tiles(Lanczos):
    """A network that doubles tiles of 20 x 20 by repeating each pixel, and remembers its calls."""

    name = "tiles"
    models: tuple[str, ...] = ("plain", "soft")
    denoising = frozenset({"soft"})
    pixels_together = 4 * TILE * TILE

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, str, float | None, str]] = []

    def cut(self, rgb: Bytes, model: str) -> Sequence[Bytes]:
        del model
        high, wide = rgb.shape[0] // TILE, rgb.shape[1] // TILE
        return [rgb[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] for y in range(high) for x in range(wide)]

    def enlarge(self, tiles: Sequence[Bytes], model: str, denoise: float | None) -> Sequence[Bytes]:
        self.calls.append((len(tiles), model, denoise, threading.current_thread().name))
        return [tile.repeat(2, axis=0).repeat(2, axis=1) for tile in tiles]

    def canvas(self, rgb: Bytes, model: str) -> Whole:
        del model
        return Doubled(rgb)


class Doubled(Whole):
    def __init__(self, rgb: Bytes) -> None:
        super().__init__(rgb.repeat(2, axis=0).repeat(2, axis=1))
        self._rgb[:] = 0
        high, wide = rgb.shape[0] // TILE, rgb.shape[1] // TILE
        self._places = iter([(2 * TILE * y, 2 * TILE * x) for y in range(high) for x in range(wide)])

    def add(self, tiles: Sequence[Bytes]) -> None:
        for tile in tiles:
            y, x = next(self._places)
            self._rgb[y : y + 2 * TILE, x : x + 2 * TILE] = tile

    def finished(self, size: tuple[int, int]) -> Bytes:
        return np.asarray(cv2.resize(self._rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


class Fourfold(Tiles):
    """A network that, whatever is wished, enlarges four times; but for the model "light"."""

    models = ("heavy", "light")

    def pixels_made(self, width: int, height: int, model: str, scale: float) -> int:
        own = {"heavy": 4, "light": 1}[model]
        return max(width * own * height * own, super().pixels_made(width, height, model, scale))


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> Tiles:
    tiles = Tiles()
    monkeypatch.setattr(engines, "load_upscaler", lambda *_: tiles)
    return tiles


async def image(answer: aiohttp.ClientResponse) -> Image.Image:
    body = await answer.read()
    assert answer.status == 200, body
    return pictures.opened(body)


@pytest.mark.parametrize(("scale", "size"), [("", (120, 80)), ("1", (60, 40)), ("1.55", (93, 62)), ("6", (360, 240))])
async def test_a_picture_becomes_so_many_times_larger(
    url: str, http: aiohttp.ClientSession, scale: str, size: tuple[int, int]
) -> None:
    answer = await http.post(f"{url}/v1/upscale", params={"scale": scale} if scale else {}, data=SMALL)

    larger = await image(answer)
    assert (larger.format, larger.mode, larger.size) == ("PNG", "RGB", size)
    assert (answer.headers["X-Engine"], answer.headers["X-Megapixels"]) == ("lanczos", "0.0024")
    assert (answer.headers["X-Width"], answer.headers["X-Height"]) == tuple(map(str, size))
    steps = [step.partition(";")[0] for step in answer.headers["Server-Timing"].split(", ")]
    assert steps == ["queue", "decode", "device", "encode"]
    smaller = np.asarray(larger.resize((60, 40), Image.Resampling.BOX)).astype(int)
    assert np.abs(smaller - RGB).mean() < 4


async def test_alpha_grows_beside_the_colour_and_what_is_hidden_stays_hidden(
    url: str, http: aiohttp.ClientSession
) -> None:
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:30, 20:40] = 255
    rgba = np.dstack([np.full((40, 60, 3), (200, 40, 40), np.uint8), alpha])
    rgba[alpha == 0, 1] = 255  # hidden green

    larger = np.asarray(await image(await http.post(f"{url}/v1/upscale?scale=3", data=pictures.file(rgba))))

    assert larger.shape == (120, 180, 4)
    assert larger[60, 90].tolist() == [200, 40, 40, 255]
    assert larger[..., 3].mean() / 255 == pytest.approx((alpha > 0).mean(), rel=0.02)
    assert larger[larger[..., 3] > 0][:, 1].max() < 80
    assert not larger[larger[..., 3] == 0].any()


@pytest.mark.parametrize(("form", "name"), [("jpg", "JPEG"), ("webp", "WEBP"), ("auto", "JPEG")])
async def test_it_is_written_in_the_format_that_was_wished(
    url: str, http: aiohttp.ClientSession, form: str, name: str
) -> None:
    assert (await image(await http.post(f"{url}/v1/upscale?format={form}", data=SMALL))).format == name


async def test_a_result_beyond_the_cap_is_refused_with_the_scale_that_would_do(
    start: Start, http: aiohttp.ClientSession
) -> None:
    url = await start(output_pixels_max=60 * 40 * 4)

    refused = await http.post(f"{url}/v1/upscale?scale=2.1", data=SMALL)
    allowed = await http.post(f"{url}/v1/upscale?scale=2", data=SMALL)
    larger = await http.post(f"{url}/v1/upscale?scale=1", data=SCENE)

    assert await problem(refused) == (413, "too-many-pixels")
    assert json.loads(await refused.read())["detail"].endswith('Choose a "scale" up to 2.')
    assert allowed.status == 200
    assert json.loads(await larger.read())["detail"].endswith("Send a smaller picture.")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("scale=0.5", "bad-option"),
        ("scale=7", "bad-option"),
        ("scale=nan", "bad-option"),
        ("model=RealESRGAN_x4plus", "bad-option"),
        ("denoise=0.5", "bad-option"),
        ("denoise=2", "bad-option"),
        ("format=zip", "bad-option"),
        ("size=hd", "unknown-option"),
        ("quality=50", "contradictory-options"),
    ],
)
async def test_what_cannot_be_done_is_refused(url: str, http: aiohttp.ClientSession, query: str, code: str) -> None:
    assert await problem(await http.post(f"{url}/v1/upscale?{query}", data=SMALL)) == (400, code)


async def test_a_worker_without_an_upscaler_has_no_such_route(start: Start, http: aiohttp.ClientSession) -> None:
    url = await start(upscaler=None)

    assert await problem(await http.post(f"{url}/v1/upscale", data=SMALL)) == (404, "not-found")
    assert "/v1/upscale" not in (await (await http.get(f"{url}/info")).json())["options"]


async def test_tiles_go_through_the_device_in_batches_and_come_back_in_their_places(
    start: Start, http: aiohttp.ClientSession, tiles: Tiles
) -> None:
    url = await start()

    answer = await http.post(f"{url}/v1/upscale?model=soft&denoise=0.25", data=SMALL)

    np.testing.assert_array_equal(np.asarray(await image(answer)), RGB.repeat(2, axis=0).repeat(2, axis=1))
    assert sum(count for count, *_ in tiles.calls) == 6
    assert {call[1:] for call in tiles.calls} == {("soft", 0.25, "device")}
    assert all(count <= 4 for count, *_ in tiles.calls)


async def test_of_the_enlarged_tiles_one_group_at_most_is_held_beside_the_result(
    start: Start, http: aiohttp.ClientSession, tiles: Tiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Bytes]] = []
    alive: list[int] = []

    def held() -> int:
        return sum(ref() is not None for ref in made)

    def enlarge(views: Sequence[Bytes], model: str, denoise: float | None) -> Sequence[Bytes]:
        del model, denoise
        give_up = time.monotonic() + 10
        while held() >= TILES_AT_ONCE and time.monotonic() < give_up:
            time.sleep(0.001)  # the thread that kept the last ones may not have let go of them yet
        alive.append(held())
        larger = [tile.repeat(2, axis=0).repeat(2, axis=1) for tile in views]
        made.extend(map(weakref.ref, larger))
        return larger

    monkeypatch.setattr(tiles, "enlarge", enlarge)
    url = await start()
    picture = pictures.noise(20 * TILE, 10 * TILE)

    answer = await http.post(f"{url}/v1/upscale", data=pictures.file(picture))

    np.testing.assert_array_equal(np.asarray(await image(answer)), picture.repeat(2, axis=0).repeat(2, axis=1))
    assert len(made) == 200
    assert max(alive) < TILES_AT_ONCE


async def test_what_the_model_makes_on_the_way_counts_against_the_cap_whatever_the_scale(
    start: Start, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Fourfold()
    monkeypatch.setattr(engines, "load_upscaler", lambda *_: network)
    url = await start(output_pixels_max=60 * 40 * 15)

    refused = await http.post(f"{url}/v1/upscale?scale=1", data=SMALL)
    light = await http.post(f"{url}/v1/upscale?scale=1&model=light", data=SMALL)

    assert await problem(refused) == (413, "too-many-pixels")
    assert json.loads(await refused.read())["detail"] == (
        'Whatever the "scale", the model "heavy" enlarges 4 times at first, here to more than 0.036 megapixels. '
        'Send a picture of at most 0.00225 megapixels, or choose the "model" light.'
    )
    assert light.status == 200
    assert {call[1] for call in network.calls} == {"light"}  # refused before anything was done


async def test_what_the_model_makes_on_the_way_takes_its_room_whatever_the_scale(
    start: Start, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Fourfold):
        entered, gate = threading.Event(), threading.Event()

        def enlarge(self, tiles: Sequence[Bytes], model: str, denoise: float | None) -> Sequence[Bytes]:
            self.entered.set()
            self.gate.wait(20)
            return super().enlarge(tiles, model, denoise)

    monkeypatch.setattr(engines, "load_upscaler", lambda *_: Slow())
    url = await start(pixels_in_work_max=30 * TILE * TILE, patience_seconds=0.2)
    tile = pictures.file(pictures.noise(TILE, TILE))
    first = asyncio.create_task(http.post(f"{url}/v1/upscale?scale=1", data=tile))
    await asyncio.to_thread(Slow.entered.wait, 10)

    try:
        async with asyncio.timeout(10):
            second = await http.post(f"{url}/v1/upscale?scale=1", data=tile)
    finally:
        Slow.gate.set()

    assert await problem(second) == (503, "too-late")
    assert (await first).status == 200


async def test_a_side_that_no_file_can_hold_is_refused_before_anything_is_done(
    start: Start, http: aiohttp.ClientSession, tiles: Tiles
) -> None:
    url = await start()
    strip = pictures.file(np.zeros((TILE, 11_000, 3), np.uint8))

    answer = await http.post(f"{url}/v1/upscale?scale=6", data=strip)

    assert await problem(answer) == (413, "too-many-pixels")
    assert not tiles.calls


@pytest.mark.parametrize("scale", [2, 3, 4, 5.5, 6])
def test_the_enlarged_shape_has_no_ghost_around_it_and_no_holes_within(scale: float) -> None:
    shape = np.zeros((40, 60), np.uint8)
    cv2.ellipse(shape, (30, 20), (19, 11), 20, 0, 360, 255, -1)
    size = round(60 * scale), round(40 * scale)

    alpha = upscaling.enlarged_alpha(shape, size)

    around = np.ones((3, 3), np.uint8)
    reached, deep = cv2.dilate(shape, around), cv2.erode(shape, around)
    beyond = cv2.resize(reached, size, interpolation=cv2.INTER_NEAREST) == 0
    within = cv2.resize(deep, size, interpolation=cv2.INTER_NEAREST) == 255
    assert not alpha[beyond].any()
    assert (alpha[within] == 255).all()
    assert len(np.unique(alpha)) > 20  # between the two the edge is soft


async def test_a_tile_that_fails_fails_its_picture_and_no_other(
    start: Start, http: aiohttp.ClientSession, tiles: Tiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enlarge(views: Sequence[Bytes], model: str, denoise: float | None) -> Sequence[Bytes]:
        if any((tile == 99).all() for tile in views):
            raise RuntimeError("poison")
        return [tile.repeat(2, axis=0).repeat(2, axis=1) for tile in views]

    monkeypatch.setattr(tiles, "enlarge", enlarge)
    url = await start()
    poisoned = RGB.copy()
    poisoned[20:, 40:] = 99

    posts = [http.post(f"{url}/v1/upscale", data=data) for data in (SMALL, pictures.file(poisoned), SMALL)]

    assert [answer.status for answer in await asyncio.gather(*posts)] == [200, 500, 200]
