"""Wishes over HTTP: by query, form and JSON; what they make, what they cost, and what is refused before it costs."""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from tests.worker import pictures
from tests.worker.conftest import Start
from tests.worker.test_server import SCENE, problem
from worker import answers, engines, pixels
from worker.engines.classic import Classic
from worker.fetch import Fetcher
from worker.server import Settings, Worker, runner

BACKDROP = pictures.file(np.full((30, 50, 3), (10, 20, 200), np.uint8))


def form(**fields: object) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        if isinstance(value, bytes):
            data.add_field(name, value, filename=f"{name}.png")
        else:
            data.add_field(name, str(value))
    return data


@pytest.fixture
async def shelf() -> AsyncIterator[str]:
    """A server of this machine from which pictures can be fetched."""

    async def give(request: web.Request) -> web.Response:
        return web.Response(body=SCENE if request.path == "/scene" else BACKDROP)

    shelf = web.ServerRunner(web.Server(give))  # type: ignore[arg-type]  # it gives BaseRequest
    await shelf.setup()
    await web.TCPSite(shelf, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{shelf.addresses[0][1]}"
    await shelf.cleanup()


@pytest.fixture
async def fetching(start: Start) -> str:
    return await start(fetcher=Fetcher(trusts=lambda address: address == ipaddress.ip_address("127.0.0.1")))


@pytest.mark.parametrize("place", ["query", "form", "json"])
async def test_the_same_wish_gets_the_same_file_from_query_form_and_json(
    fetching: str, shelf: str, http: aiohttp.ClientSession, place: str
) -> None:
    wish = {"format": "jpg", "bg_color": "0a0b0c", "size": "preview", "crop": "true", "quality": "100"}
    url = f"{fetching}/v1/cutout"
    typed = {**wish, "crop": True, "quality": 100}
    posts: dict[str, dict[str, Any]] = {
        "query": {"params": wish, "data": SCENE},
        "form": {"data": form(image=SCENE, **wish)},
        "json": {"json": {"url": f"{shelf}/scene", **typed}},
    }

    answer = await http.post(url, **posts[place])
    image = pictures.opened(await answer.read())

    assert (answer.status, answer.content_type, image.format) == (200, "image/jpeg", "JPEG")
    assert (answer.headers["X-Width"], answer.headers["X-Height"]) == (str(image.width), str(image.height))
    assert image.size < (320, 240)
    assert np.abs(np.asarray(image)[0, 0].astype(int) - (10, 11, 12)).max() < 6


@pytest.mark.parametrize("field", ["bg_image", "bg_image_file"])
async def test_a_backdrop_comes_as_a_file_of_the_form(url: str, http: aiohttp.ClientSession, field: str) -> None:
    answer = await http.post(f"{url}/v1/cutout", data=form(image=SCENE, **{field: BACKDROP}))

    image = np.asarray(pictures.opened(await answer.read()))
    assert image.shape == (240, 320, 3)
    assert image[0, 0].tolist() == [10, 20, 200]


@pytest.mark.parametrize("place", ["query", "form", "json"])
async def test_a_backdrop_comes_from_an_address(
    fetching: str, shelf: str, http: aiohttp.ClientSession, place: str
) -> None:
    address = f"{shelf}/backdrop"
    posts: dict[str, dict[str, Any]] = {
        "query": {"params": {"bg_image": address}, "data": SCENE},
        "form": {"data": form(image=SCENE, bg_image=address)},
        "json": {"json": {"url": f"{shelf}/scene", "bg_image": address}},
    }

    answer = await http.post(f"{fetching}/v1/cutout", **posts[place])

    assert np.asarray(pictures.opened(await answer.read()))[0, 0].tolist() == [10, 20, 200]


async def test_a_backdrop_is_held_to_the_same_rules_as_a_picture(
    start: Start, fetching: str, http: aiohttp.ClientSession
) -> None:
    private = await start(fetcher=Fetcher())
    bomb = pictures.png(30_000, 30_000, 8, 2, b"\0")

    async def post(data: aiohttp.FormData, url: str = fetching) -> tuple[int, str]:
        return await problem(await http.post(f"{url}/v1/cutout", data=data))

    assert await post(form(image=SCENE, bg_image=b"hello")) == (415, "bad-backdrop")
    assert await post(form(image=SCENE, bg_image=bomb)) == (413, "bad-backdrop")
    assert await post(form(image=SCENE, bg_image="http://127.0.0.1/"), private) == (403, "bad-backdrop")
    assert await post(form(image=SCENE, bg_image=BACKDROP, bg_image_file=BACKDROP)) == (400, "bad-option")
    assert await post(form(image=SCENE, bg_image=BACKDROP, bg_color="fff")) == (400, "contradictory-options")


async def test_alpha_alone_knows_no_backdrop(url: str, http: aiohttp.ClientSession) -> None:
    answer = await http.post(f"{url}/v1/alpha", data=form(image=SCENE, bg_image=BACKDROP))

    assert await problem(answer) == (400, "unknown-option")


async def test_a_contradiction_is_refused_before_anything_is_fetched(
    fetching: str, http: aiohttp.ClientSession
) -> None:
    order = {"url": "http://127.0.0.1:1/nobody-listens", "crop_margin": "10%"}

    answer = await http.post(f"{fetching}/v1/cutout", json=order)

    assert await problem(answer) == (400, "contradictory-options")


@pytest.mark.parametrize("resolution", ["512", "1024", "2048", "1440"])
async def test_a_resolution_that_the_engine_lacks_is_refused(
    url: str, http: aiohttp.ClientSession, resolution: str
) -> None:
    answer = await http.post(f"{url}/v1/cutout?resolution={resolution}", data=SCENE)

    assert await problem(answer) == (400, "bad-option")


async def test_the_resolution_that_was_chosen_reaches_the_engine(
    start: Start, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sharp(Classic):
        resolutions: tuple[int, ...] = (1440, 2048)
        asked: list[int | None] = []  # noqa: RUF012

        def view(self, rgb: pixels.Bytes, resolution: int | None) -> pixels.Bytes:
            self.asked.append(resolution)
            return super().view(rgb, resolution)

    monkeypatch.setattr(engines, "load", lambda *_, **__: Sharp())
    url = await start()

    for wish in ("?resolution=2048", "?resolution=1440", ""):
        assert (await http.post(f"{url}/v1/cutout{wish}", data=SCENE)).status == 200
    refused = await http.post(f"{url}/v1/cutout?resolution=1024", data=SCENE)

    assert Sharp.asked == [2048, 1440, None]
    assert await problem(refused) == (400, "bad-option")
    assert "one of: 1440, 2048" in (await refused.json(content_type=None))["detail"]


async def test_an_answer_tells_the_megapixels_that_came_in_as_a_gateway_reads_amounts(
    start: Start, http: aiohttp.ClientSession
) -> None:
    url = await start(price_per_megapixel=Decimal("0.25"))

    answer = await http.post(f"{url}/v1/cutout?size=preview&crop=true", data=SCENE)

    assert answer.headers["X-Megapixels"] == "0.0768"
    assert answer.headers["X-Nijika-Cost"] == "0.0192"


async def test_without_a_price_no_cost_is_told(url: str, http: aiohttp.ClientSession) -> None:
    answer = await http.post(f"{url}/v1/cutout", data=SCENE)

    assert answer.headers["X-Megapixels"] == "0.0768"
    assert "X-Nijika-Cost" not in answer.headers


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0"), ("12", "12"), ("1.500000", "1.5"), ("0.0000019", "0.000001"), ("0.0000001", "0"), ("100", "100")],
)
def test_an_amount_is_plain_decimal_text_rounded_down_to_six_places(amount: str, text: str) -> None:
    assert answers.plain(Decimal(amount)) == text


async def test_info_tells_every_option_and_what_it_takes(url: str, http: aiohttp.ClientSession) -> None:
    info = await (await http.get(f"{url}/info")).json()

    cutout = info["options"]["/v1/cutout"]
    assert cutout["format"] == {"takes": "one of: png, webp, jpg, zip, auto", "usual": "png"}
    assert set(cutout) == {
        *("format", "size", "channels", "bg_color", "bg_image", "crop", "crop_margin", "roi"),
        *("quality", "resolution", "clean_edges"),
    }
    assert set(info["options"]["/v1/upscale"]) == {"model", "scale", "denoise", "format", "quality"}
    assert (info["upscaler"], info["upscaler_models"], info["resolutions"]) == ("lanczos", ["lanczos"], [])


async def test_many_large_pictures_are_decoded_no_more_at_a_time_than_there_is_room(
    start: Start, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, most = 0, 0
    decode = pixels.decode

    class Watching(Classic):
        def alphas(self, views: Any) -> Any:
            nonlocal held
            held -= len(views)
            return super().alphas(views)

    def counted(data: bytes, pixels_max: int) -> pixels.Picture:
        nonlocal held, most
        held += 1
        most = max(most, held)
        return decode(data, pixels_max)

    monkeypatch.setattr(pixels, "decode", counted)
    monkeypatch.setattr(engines, "load", lambda *_, **__: Watching())
    url = await start(pixels_in_work_max=320 * 240 * 2, codec_threads=8)

    posts = await asyncio.gather(*(http.post(f"{url}/v1/alpha", data=SCENE) for _ in range(12)))

    assert {answer.status for answer in posts} == {200}
    assert most <= 2


async def test_an_engine_that_cannot_be_loaded_is_503_with_the_reason_and_nothing_stands_in(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> Classic:
        raise FileNotFoundError("There are no weights in /nowhere. Fetch them first.")

    monkeypatch.setattr(engines, "load", load)
    run = runner(Worker(Settings()))
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{run.addresses[0][1]}"

    for answer in (
        await http.post(f"{url}/v1/cutout", data=SCENE),
        await http.get(f"{url}/ready"),
        await http.post(f"{url}/v1/upscale", data=SCENE),
    ):
        assert await problem(answer) == (503, "engine-missing")
        assert json.loads(await answer.read())["detail"] == (
            "The engine cannot be loaded: There are no weights in /nowhere. Fetch them first."
        )
    assert "no weights" in (await (await http.get(f"{url}/info")).json())["quality"]
    assert (await http.get(f"{url}/health")).status == 200
    await run.cleanup()


async def test_an_engine_that_dies_is_503_at_once_for_everybody(
    start: Start, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mortal(Classic):
        def alphas(self, views: Any) -> Any:
            raise SystemExit(views[0].shape)

    monkeypatch.setattr(engines, "load", lambda *_, **__: Mortal())
    url = await start()

    posts = await asyncio.gather(*(http.post(f"{url}/v1/cutout", data=SCENE) for _ in range(5)))

    assert [await problem(answer) for answer in posts] == [(503, "engine-gone")] * 5
    assert await problem(await http.get(f"{url}/ready")) == (503, "engine-gone")
