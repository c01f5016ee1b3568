"""The worker over HTTP: every way in, every answer's headers, every refusal's sentence."""

import asyncio
import io
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from tests.worker import pictures
from tests.worker.conftest import Start
from worker import body, engines, outputs, pixels
from worker.engines.classic import Classic
from worker.server import Settings, Worker, runner

TRUTH = pictures.shape("ellipse")
SCENE = pictures.scene(TRUTH, pictures.backdrop("white"))


async def problem(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    body = json.loads(await answer.read())
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert body.keys() == {"type", "title", "status", "detail", "code"}
    assert body["status"] == answer.status
    assert body["detail"].endswith(".")
    return answer.status, body["code"]


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded", "x/y"])
async def test_a_raw_body_of_any_type_is_cut_out(url: str, http: aiohttp.ClientSession, kind: str) -> None:
    answer = await http.post(f"{url}/v1/cutout", data=SCENE, headers={"Content-Type": kind})
    body = await answer.read()

    image = pictures.opened(body)
    assert (answer.status, answer.content_type) == (200, "image/png")
    assert (image.mode, image.size) == ("RGBA", (320, 240))
    assert pictures.overlap(np.asarray(image)[..., 3], TRUTH) > 0.95


@pytest.mark.parametrize("field", ["image", "image_file"])
async def test_a_form_field_is_cut_out(url: str, http: aiohttp.ClientSession, field: str) -> None:
    form = aiohttp.FormData({"format": "webp"})
    form.add_field(field, SCENE, filename="a.jpg", content_type="image/jpeg")

    answer = await http.post(f"{url}/v1/cutout", data=form)

    assert (answer.status, answer.content_type) == (200, "image/webp")
    assert pictures.opened(await answer.read()).format == "WEBP"


async def test_a_picture_answer_names_engine_size_and_times(url: str, http: aiohttp.ClientSession) -> None:
    for path in ("cutout", "alpha"):
        answer = await http.post(f"{url}/v1/{path}", data=SCENE)
        body = await answer.read()

        assert answer.headers["X-Engine"] == "classic"
        assert (answer.headers["X-Width"], answer.headers["X-Height"]) == ("320", "240")
        assert answer.headers["Content-Length"] == str(len(body))
        assert answer.headers["Cache-Control"] == "no-store"
        steps = [step.split(";dur=") for step in answer.headers["Server-Timing"].split(", ")]
        clean = ["clean"] if path == "cutout" else []
        assert [name for name, _ in steps] == ["queue", "decode", "device", *clean, "encode"]
        assert all(float(duration) >= 0 for _, duration in steps)


async def test_alpha_is_a_grey_png_and_equals_the_alpha_of_the_cutout(url: str, http: aiohttp.ClientSession) -> None:
    alpha = pictures.opened(await (await http.post(f"{url}/v1/alpha", data=SCENE)).read())
    cutout = pictures.opened(await (await http.post(f"{url}/v1/cutout", data=SCENE)).read())

    assert alpha.mode == "L"
    np.testing.assert_array_equal(np.asarray(alpha), np.asarray(cutout)[..., 3])


@pytest.mark.parametrize(("query", "from_alpha"), [("", 255), ("?clean_edges=false", 1)])
async def test_the_colours_of_the_input_are_kept_but_for_soft_edges_that_are_cleaned(
    url: str, http: aiohttp.ClientSession, query: str, from_alpha: int
) -> None:
    image = np.asarray(pictures.opened(await (await http.post(f"{url}/v1/cutout{query}", data=SCENE)).read()))

    kept = image[..., 3] >= from_alpha
    np.testing.assert_array_equal(image[kept][:, :3], pixels.decode(SCENE, 10**6).rgb[kept])
    assert not image[image[..., 3] == 0].any()


async def test_the_alpha_that_a_picture_brings_multiplies_the_result(url: str, http: aiohttp.ClientSession) -> None:
    brought = np.full(TRUTH.shape, 255, np.uint8)
    brought[:, :160] = 100
    rgba = np.dstack([pixels.decode(SCENE, 10**6).rgb, brought])

    image = np.asarray(pictures.opened(await (await http.post(f"{url}/v1/cutout", data=pictures.file(rgba))).read()))

    assert image[120, 140, 3] == 100
    assert image[120, 180, 3] == 255


async def test_profile_and_orientation_come_through(url: str, http: aiohttp.ClientSession) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = pictures.file(pictures.opened(SCENE), "JPEG", exif=exif, icc_profile=pictures.srgb_profile())

    answer = await http.post(f"{url}/v1/cutout", data=data)
    image = pictures.opened(await answer.read())

    assert (answer.headers["X-Width"], image.size) == ("240", (240, 320))
    assert image.info["icc_profile"] == pictures.srgb_profile()
    assert image.getexif().get(0x0112) is None


@pytest.mark.parametrize(
    ("status", "code", "data"),
    [
        (400, "no-image", b""),
        (415, "not-an-image", b"hello"),
        (422, "truncated-image", SCENE[: len(SCENE) // 2]),
        (413, "too-many-pixels", pictures.png(30_000, 30_000, 8, 2, b"\0")),
    ],
)
async def test_a_bad_picture_gets_its_problem(
    url: str, http: aiohttp.ClientSession, status: int, code: str, data: bytes
) -> None:
    for path in ("cutout", "alpha"):
        assert await problem(await http.post(f"{url}/v1/{path}", data=data)) == (status, code)


@pytest.mark.parametrize("place", ["query", "form", "json"])
async def test_an_unknown_option_is_named_and_the_known_ones_are_listed(
    url: str, http: aiohttp.ClientSession, place: str
) -> None:
    form = aiohttp.FormData({"colour": "red"})
    form.add_field("image", SCENE, filename="a.jpg")
    body: dict[str, Any] = {
        "query": {"params": {"colour": "red"}, "data": SCENE},
        "form": {"data": form},
        "json": {"json": {"url": "http://example.com/", "colour": "red"}},
    }

    answer = await http.post(f"{url}/v1/cutout", **body[place])

    assert await problem(answer) == (400, "unknown-option")
    assert json.loads(await answer.read())["detail"].startswith(
        'There is no option "colour". Known options: format, size, '
    )


async def test_a_bad_value_and_a_repeated_option_are_refused(url: str, http: aiohttp.ClientSession) -> None:
    for path in ("cutout?format=bmp", "cutout?format=png&format=png", "alpha?format=webp"):
        assert await problem(await http.post(f"{url}/v1/{path}", data=SCENE)) == (400, "bad-option")


@pytest.mark.parametrize("body", [b"[1]", b'"x"', b"{", b"\xff", b"[" * 16_000])
async def test_json_that_is_no_order_is_refused(url: str, http: aiohttp.ClientSession, body: bytes) -> None:
    answer = await http.post(f"{url}/v1/cutout", data=body, headers={"Content-Type": "application/json"})

    assert await problem(answer) == (400, "bad-body")


async def test_json_without_an_address_brings_no_image(url: str, http: aiohttp.ClientSession) -> None:
    for order in ({}, {"url": ""}, {"url": 7}):
        assert await problem(await http.post(f"{url}/v1/cutout", json=order)) == (400, "no-image")


async def test_a_worker_without_fetching_says_so(start: Start, http: aiohttp.ClientSession) -> None:
    answer = await http.post(f"{await start(fetcher=None)}/v1/cutout", json={"url": "http://example.com/"})

    assert await problem(answer) == (400, "bad-body")
    assert "fetches no addresses" in await answer.text()


FORMS = {
    "no boundary": ("multipart/form-data", b"x"),
    "boundary never comes": ("multipart/form-data; boundary=b", b"nothing\r\n" * 5),
    "cut short": ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc'),
    "no name": ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--b--\r\n"),
    "nested": (
        "multipart/form-data; boundary=b",
        b"--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n--c--\r\n--b--",
    ),
    "bad header": ("multipart/form-data; boundary=b", b"--b\r\nno colon here\r\n\r\nabc\r\n--b--\r\n"),
}


@pytest.mark.parametrize("name", FORMS)
async def test_a_broken_form_is_a_problem(url: str, http: aiohttp.ClientSession, name: str) -> None:
    kind, body = FORMS[name]

    answer = await http.post(f"{url}/v1/cutout", data=body, headers={"Content-Type": kind})

    assert (await problem(answer))[0] in (400, 415)


async def test_a_form_with_two_pictures_or_none_is_refused(url: str, http: aiohttp.ClientSession) -> None:
    two = aiohttp.FormData()
    two.add_field("image", SCENE, filename="a.jpg")
    two.add_field("image_file", SCENE, filename="b.jpg")
    none = aiohttp.FormData({"format": "png"}, default_to_multipart=True)

    assert await problem(await http.post(f"{url}/v1/cutout", data=two)) == (400, "bad-body")
    assert await problem(await http.post(f"{url}/v1/cutout", data=none)) == (400, "no-image")


async def test_a_compressed_body_is_refused(url: str, http: aiohttp.ClientSession) -> None:
    answer = await http.post(f"{url}/v1/cutout", data=b"x", headers={"Content-Encoding": "gzip"})

    assert await problem(answer) == (415, "encoded-body")


async def test_a_body_announced_too_large_is_refused_before_it_is_invited(start: Start) -> None:
    url = await start(body_bytes_max=1000)
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    writer.write(b"POST /v1/cutout HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")

    writer.close()
    assert head.startswith(b"HTTP/1.1 413 ")


async def test_a_body_within_the_limit_is_invited(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    writer.write(b"POST /v1/cutout HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    invitation = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"hello")
    head = await reader.readuntil(b"\r\n\r\n")

    writer.close()
    assert invitation == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert head.startswith(b"HTTP/1.1 415 ")


@pytest.mark.parametrize("form", [True, False])
async def test_a_body_that_grows_too_large_is_refused(start: Start, http: aiohttp.ClientSession, form: bool) -> None:
    url = await start(body_bytes_max=100_000)
    head = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n'

    async def chunks() -> Any:
        yield head
        for _ in range(12):
            yield b"x" * 10_000

    kind = "multipart/form-data; boundary=b" if form else "image/png"
    answer = await http.post(f"{url}/v1/cutout", data=chunks(), headers={"Content-Type": kind})

    assert await problem(answer) == (413, "body-too-large")


async def test_a_body_that_never_ends_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.1)
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    writer.write(b"POST /v1/cutout HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
    answer = await reader.read()

    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"slow-body" in answer


async def test_health_ready_and_info_tell_the_truth(url: str, http: aiohttp.ClientSession) -> None:
    health, ready = await http.get(f"{url}/health"), await http.get(f"{url}/ready")
    info = await (await http.get(f"{url}/info")).json()

    assert (health.status, ready.status) == (200, 200)
    assert (info["engine"], info["quality"]) == ("classic", Classic.quality)
    assert "plain" in info["quality"]
    assert info["limits"]["pixels_max"] == 50_000_000
    assert info["formats"]["out"] == list(outputs.FORMATS)


async def test_no_answer_tells_a_version_of_the_server(url: str, http: aiohttp.ClientSession) -> None:
    for path in ("health", "info", "nothing"):
        assert "Server" not in (await http.get(f"{url}/{path}")).headers


async def test_unknown_paths_and_methods_are_problems(url: str, http: aiohttp.ClientSession) -> None:
    wrong = await http.get(f"{url}/v1/cutout")

    assert await problem(await http.get(f"{url}/nothing")) == (404, "not-found")
    assert await problem(wrong) == (405, "method-not-allowed")
    assert wrong.headers["Allow"] == "POST"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


class Gate(Classic):
    """An engine that stops until it is let go, and remembers where it worked."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.entered = threading.Event()
        self.threads: list[str] = []

    def alphas(self, views: Sequence[pixels.Bytes]) -> list[pixels.Bytes]:
        self.threads.append(threading.current_thread().name)
        self.entered.set()
        self.open.wait(10)
        return [np.full(view.shape[:2], 255, np.uint8) for view in views]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(engines, "load", lambda *_, **__: gate)
    return gate


async def test_more_pictures_than_may_wait_are_refused_with_a_time_to_return(
    start: Start, workers: list[Worker], http: aiohttp.ClientSession, gate: Gate
) -> None:
    url = await start(waiting_max=1)
    waiting = [asyncio.create_task(http.post(f"{url}/v1/alpha", data=SCENE)) for _ in range(2)]
    await until(lambda: workers[0].studio.places.left == 0)
    refused = await http.post(f"{url}/v1/alpha", data=SCENE)
    gate.open.set()

    assert await problem(refused) == (503, "busy")
    assert int(refused.headers["Retry-After"]) > 0
    assert [(await task).status for task in waiting] == [200, 200]
    assert (await http.post(f"{url}/v1/alpha", data=SCENE)).status == 200


async def test_a_waiting_picture_whose_caller_is_gone_is_skipped(
    start: Start, workers: list[Worker], http: aiohttp.ClientSession, gate: Gate
) -> None:
    url = await start(waiting_max=1)
    first = asyncio.create_task(http.post(f"{url}/v1/alpha", data=SCENE))
    await until(gate.entered.is_set)
    second = asyncio.create_task(http.post(f"{url}/v1/alpha", data=SCENE))
    await until(lambda: len(workers[0].device._batcher._queue) == 1)
    second.cancel()
    await until(lambda: workers[0].studio.places.left == 1)
    gate.open.set()

    assert (await first).status == 200
    assert (await http.post(f"{url}/v1/alpha", data=SCENE)).status == 200
    assert len(gate.threads) == 2


async def test_an_answer_that_is_not_read_keeps_others_waiting_and_their_places_taken(
    start: Start, workers: list[Worker], http: aiohttp.ClientSession, gate: Gate
) -> None:
    # More than the buffers of the system hold: noise as a PNG is as large as its pixels.
    noise = np.random.default_rng(1).integers(0, 256, (2400, 2400, 3)).astype(np.uint8)
    large = pictures.file(noise, "PNG", compress_level=1)
    gate.open.set()
    url = await start(waiting_max=1, answer_bytes_max=1)
    unread = await http.post(f"{url}/v1/cutout?clean_edges=false", data=io.BytesIO(large))
    waiting = [asyncio.create_task(http.post(f"{url}/v1/alpha", data=SCENE)) for _ in range(2)]
    await until(lambda: len(gate.threads) == 3 and workers[0].studio.places.left == 0)

    refused = await http.post(f"{url}/v1/alpha", data=SCENE)

    assert await problem(refused) == (503, "busy")
    assert not any(task.done() for task in waiting)
    unread.close()
    assert [(await task).status for task in waiting] == [200, 200]


LARGE = np.asarray(Image.fromarray(pictures.noise(80, 60, channels=4)).resize((4000, 3000)))
RGB, ALPHA = np.ascontiguousarray(LARGE[..., :3]), np.ascontiguousarray(LARGE[..., 3])
QUICKLY: dict[str, dict[str, Any]] = {"PNG": {"compress_level": 1}, "WEBP": {"method": 0}, "AVIF": {"speed": 10}}
FILES = [*((kind, RGB) for kind in pixels.FORMATS), *((kind, LARGE) for kind in ("PNG", "WEBP", "TIFF"))]


async def turns_during(work: Callable[[], object]) -> int:
    """How often the loop came round while a thread was at work."""
    turns, working = 0, asyncio.create_task(asyncio.to_thread(work))
    while not working.done():
        await asyncio.sleep(0.001)
        turns += 1
    await working
    return turns


@pytest.mark.parametrize(("kind", "made_of"), FILES)
async def test_the_loop_goes_round_while_a_large_picture_is_decoded(kind: str, made_of: pixels.Bytes) -> None:
    data = pictures.file(made_of, kind, **QUICKLY.get(kind, {}))

    assert await turns_during(lambda: pixels.decode(data, 12_000_000).seen()) >= 5


@pytest.mark.parametrize("kind", outputs.FORMATS)
async def test_the_loop_goes_round_while_a_large_picture_is_encoded(kind: str) -> None:
    picture = pixels.Picture(RGB, None if kind == "jpg" else ALPHA, None)

    assert await turns_during(lambda: outputs.encode(picture, kind)) >= 5


@pytest.mark.parametrize("form", ["jpg", "webp"])
async def test_an_enlargement_that_no_file_of_its_kind_can_hold_is_too_large(
    url: str, http: aiohttp.ClientSession, form: str
) -> None:
    data = pictures.file(np.zeros((10, 65_500, 3), np.uint8))

    answer = await http.post(f"{url}/v1/upscale?scale=2&format={form}", data=data)

    assert await problem(answer) == (413, "too-many-pixels")


async def test_codecs_and_engine_stay_off_the_event_loop(
    start: Start, http: aiohttp.ClientSession, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}
    for module, name in ((pixels, "decode"), (outputs, "encode")):
        original = getattr(module, name)

        def spy(*arguments: Any, _name: str = name, _original: Any = original) -> Any:
            seen[_name] = threading.current_thread().name
            return _original(*arguments)

        monkeypatch.setattr(module, name, spy)
    gate.open.set()

    await http.post(f"{await start()}/v1/cutout", data=SCENE)

    assert seen["decode"].startswith("codec")
    assert seen["encode"].startswith("codec")
    assert gate.threads == ["device"]


async def test_an_unforeseen_failure_tells_nothing_of_the_inside(
    start: Start, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Classic):
        def alphas(self, views: Sequence[pixels.Bytes]) -> list[pixels.Bytes]:
            raise RuntimeError(f"a secret path {views[0].shape}")

    monkeypatch.setattr(engines, "load", lambda *_, **__: Broken())

    answer = await http.post(f"{await start()}/v1/cutout", data=SCENE)

    assert await problem(answer) == (500, "internal-error")
    assert "secret" not in await answer.text()


async def test_ready_says_not_yet_while_the_engine_loads(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(engines, "load", lambda *_, **__: (go.wait(10), Classic())[1])
    run = runner(Worker(Settings()))
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{run.addresses[0][1]}"

    early = await http.get(f"{url}/ready")
    picture = asyncio.create_task(http.post(f"{url}/v1/cutout", data=SCENE))
    await asyncio.sleep(0)
    go.set()

    assert await problem(early) == (503, "not-ready")
    assert "Retry-After" in early.headers
    assert (await picture).status == 200
    assert (await http.get(f"{url}/ready")).status == 200
    await run.cleanup()
