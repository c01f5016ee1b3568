"""Whatever comes in as a body is read in turns with others, within bounds, and refused in a sentence."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from tests.worker import pictures
from tests.worker.conftest import Start
from worker import body
from worker.inputs import Reader
from worker.problems import BadBody, Problem
from worker.wishes import CUTOUT

SCENE = pictures.scene(pictures.shape("ellipse"), pictures.backdrop("white"))
BACKDROP = pictures.file(pictures.noise(), "PNG")
FORM = "multipart/form-data; boundary=b"
MIB = 2**20


def part(name: str, content: bytes = b"", filename: str | None = None) -> bytes:
    named = "" if filename is None else f'; filename="{filename}"'
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + content + b"\r\n"


IMAGE = part("image", SCENE, "a.jpg")


async def sent(
    http: aiohttp.ClientSession, url: str, data: bytes, kind: str = FORM, query: str = ""
) -> tuple[int, str, str]:
    """Status, code and detail; the last two are empty for a picture."""
    data += b"--b--\r\n" if kind == FORM else b""
    answer = await http.post(f"{url}/v1/cutout{query}", data=data, headers={"Content-Type": kind})
    text = await answer.read()
    told = json.loads(text) if answer.status != 200 else {"code": "", "detail": ""}
    return answer.status, told["code"], told["detail"]


class Unhurried(BaseProtocol):
    """What a stream asks to be sent less: here all is there already."""

    def pause_reading(self) -> None: ...

    def resume_reading(self, resume_parser: bool = True) -> None: ...


async def turns_of_others(content: bytes) -> tuple[int, Exception | None]:
    """How often another task had its turn while a form was read that had come in whole, and how the reading ended."""
    stream = StreamReader(Unhurried(asyncio.get_running_loop()), 2**16)
    for start in range(0, len(content), 2**16):
        stream.feed_data(content[start : start + 2**16])
    stream.feed_eof()
    request = make_mocked_request("POST", "/v1/cutout", {"Content-Type": FORM}, payload=stream)
    turns, ended = 0, None

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    try:
        await Reader(64 * MIB, None).read(request, CUTOUT)
    except Problem as problem:
        ended = problem
    task.cancel()
    return turns, ended


async def test_a_large_form_is_read_in_turns_with_others() -> None:
    turns, ended = await turns_of_others(part("image", b"x" * 16 * MIB, "a.jpg") + b"--b--\r\n")

    assert ended is None
    assert turns > 100


async def test_many_lines_before_a_form_are_given_up_after_a_few() -> None:
    turns, ended = await turns_of_others(b"\n" * 16 * MIB)

    assert isinstance(ended, BadBody)
    assert "too much before a part" in ended.detail
    assert turns < 5_000


@pytest.mark.parametrize("before", [b"\n" * 2_000, b"-\n" * 1_000, b"--\n" * 4_000, b"x" * 3_000 + b"\r\n"])
async def test_what_stands_before_a_form_is_short(url: str, http: aiohttp.ClientSession, before: bytes) -> None:
    assert (await sent(http, url, b"a short preamble\r\n" + IMAGE))[0] == 200
    assert (await sent(http, url, before + IMAGE))[:2] == (400, "bad-body")


async def test_a_form_has_few_parts(url: str, http: aiohttp.ClientSession) -> None:
    untouched = part("image", b"", "")

    assert (await sent(http, url, untouched * (body.PARTS_MAX - 1) + IMAGE))[0] == 200
    assert (await sent(http, url, untouched * body.PARTS_MAX + IMAGE))[:2] == (400, "bad-body")


async def test_a_second_picture_is_refused_even_after_an_empty_one(url: str, http: aiohttp.ClientSession) -> None:
    for first in (part("image"), part("image", b"", "a.jpg"), IMAGE):
        assert (await sent(http, url, first + IMAGE))[:2] == (400, "bad-body")


async def test_a_file_input_in_which_nothing_was_chosen_is_no_picture(url: str, http: aiohttp.ClientSession) -> None:
    picture, backdrop = part("image", b"", ""), part("bg_image", b"", "")

    assert (await sent(http, url, picture + IMAGE + backdrop))[0] == 200
    assert (await sent(http, url, backdrop + part("bg_color", b"fff") + IMAGE))[0] == 200
    assert (await sent(http, url, picture + backdrop))[:2] == (400, "no-image")


@pytest.mark.parametrize("files_first", [True, False])
async def test_a_backdrop_that_comes_twice_is_refused_in_any_order(
    url: str, http: aiohttp.ClientSession, files_first: bool
) -> None:
    given = [part("bg_image", BACKDROP, "b.png"), part("bg_image", b"http://example.com/b.png")]

    status, code, detail = await sent(http, url, IMAGE + b"".join(given if files_first else given[::-1]))

    assert (status, code) == (400, "bad-option")
    assert "given twice" in detail


@pytest.mark.parametrize("name", ["url", "format"])
async def test_json_that_says_a_thing_twice_is_refused(url: str, http: aiohttp.ClientSession, name: str) -> None:
    order = f'{{"url": "http://example.com/", "format": "png", "{name}": "http://example.org/"}}'.encode()

    status, code, detail = await sent(http, url, order, "application/json")

    assert (status, code) == (400, "bad-option")
    assert f'"{name}" is given twice' in detail


async def test_a_form_of_the_other_kind_is_refused_and_told_which_one_is_read(
    url: str, http: aiohttp.ClientSession
) -> None:
    kind = "application/x-www-form-urlencoded"

    status, code, detail = await sent(http, url, b"format=png&image=abc", kind)

    assert (status, code) == (415, "not-an-image")
    assert "multipart/form-data" in detail
    assert (await sent(http, url, SCENE, kind))[0] == 200  # `curl --data-binary @picture.jpg`


@pytest.mark.parametrize(
    ("status", "data"),
    [(415, b"hello"), (415, b""), (422, BACKDROP[: len(BACKDROP) // 2]), (413, pictures.png(30_000, 9_000, 8, 2, b""))],
)
async def test_a_broken_backdrop_is_told_as_the_backdrops(
    url: str, http: aiohttp.ClientSession, status: int, data: bytes
) -> None:
    told = await sent(http, url, IMAGE + part("bg_image", data, "b.png"))

    assert told[:2] == (status, "bad-backdrop")
    assert told[2].startswith("The background picture cannot be used. ")


async def test_a_backdrop_that_cannot_be_fetched_is_told_as_the_backdrops(
    start: Start, http: aiohttp.ClientSession
) -> None:
    told = await sent(http, await start(fetcher=None), IMAGE, query="?bg_image=http://example.com/b.png")

    assert told[:2] == (400, "bad-backdrop")
    assert "fetches no addresses" in told[2]


async def test_a_broken_picture_before_a_good_backdrop_is_told_as_the_pictures(
    url: str, http: aiohttp.ClientSession
) -> None:
    told = await sent(http, url, part("image", b"hello", "a.jpg") + part("bg_image", BACKDROP, "b.png"))

    assert told[:2] == (415, "not-an-image")


async def halves(url: str, between: float) -> bytes:
    """The head of the answer to a picture that comes in two halves."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/alpha HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(SCENE))
    writer.write(SCENE[: len(SCENE) // 2])
    await asyncio.sleep(between)
    writer.write(SCENE[len(SCENE) // 2 :])
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head


async def test_a_body_that_does_not_keep_the_pace_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(body, "PACE_BYTES", 4_000_000)

    assert (await halves(url, 0.5)).startswith(b"HTTP/1.1 408 ")


async def test_a_slow_body_that_keeps_the_pace_is_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(body, "PACE_BYTES", 100)

    assert (await halves(url, 0.5)).startswith(b"HTTP/1.1 200 ")
