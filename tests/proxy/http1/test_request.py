"""What a worker is sent: one head that can be read in one way."""

import pytest
from multidict import CIMultiDict

from nijika.proxy.http1.address import Address
from nijika.proxy.http1.request import written
from tests.proxy.http1.worker import OK, Line, Pieces, asking

HERE = Address.of("http://worker:8001/app/")


@pytest.mark.parametrize(
    ("base", "authority", "path"),
    [
        ("http://worker", "worker", ""),
        ("http://worker:80/", "worker", ""),
        ("https://worker:443/app/", "worker", "/app"),
        ("https://worker:80", "worker:80", ""),
        ("http://[::1]:8001/a/b", "[::1]:8001", "/a/b"),
        ("http://BÜCHER.example", "xn--bcher-kva.example", ""),
    ],
)
def test_a_base_is_taken_apart(base: str, authority: str, path: str) -> None:
    address = Address.of(base)

    assert (address.authority, address.path) == (authority, path)
    assert address.is_secure == base.startswith("https")


@pytest.mark.parametrize(
    ("method", "fields", "has_body", "framed"),
    [
        ("GET", {}, False, ""),
        ("HEAD", {}, False, ""),
        ("POST", {}, False, "Content-Length: 0\r\n"),
        ("DELETE", {}, False, "Content-Length: 0\r\n"),
        ("POST", {}, True, "Transfer-Encoding: chunked\r\n"),
        ("GET", {}, True, "Transfer-Encoding: chunked\r\n"),
    ],
)
def test_the_frame_of_the_body_is_told(method: str, fields: dict[str, str], has_body: bool, framed: str) -> None:
    head = written(method, "/x?y", HERE, fields, has_body=has_body).head

    assert head.decode() == f"{method} /x?y HTTP/1.1\r\nHost: worker:8001\r\n{framed}\r\n"


def test_a_length_that_is_known_is_told_once() -> None:
    request = written("POST", "/", HERE, CIMultiDict({"content-length": "3"}), has_body=True)

    assert request.head == b"POST / HTTP/1.1\r\nHost: worker:8001\r\ncontent-length: 3\r\n\r\n"
    assert request.length == 3


def test_fields_keep_their_order_and_their_bytes() -> None:
    fields = CIMultiDict([("B", "1"), ("A", "2"), ("b", "é\udcff")])

    assert written("GET", "/", HERE, fields, has_body=False).head.endswith(
        b"\r\nB: 1\r\nA: 2\r\nb: \xc3\xa9\xff\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "target", "fields"),
    [
        ("GET", "", {}),
        ("GET", "x", {}),
        ("GET", "http://evil/", {}),
        ("GET", "/a b", {}),
        ("GET", "/a\r\nX: y", {}),
        ("GET", "/é", {}),
        ("GET /x HTTP/1.1\r\nX:", "/", {}),
        ("GET", "/", {"A": "b\r\nC: d"}),
        ("GET", "/", {"A": "b\nC: d"}),
        ("GET", "/", {"A": "b\rC: d"}),
        ("GET", "/", {"A": "b\0"}),
        ("GET", "/", {"A\r\nC": "d"}),
        ("POST", "/", {"Content-Length": "three"}),
        ("POST", "/", {"Content-Length": "-3"}),
    ],
)
def test_what_would_be_read_as_something_else_is_not_written(method: str, target: str, fields: dict[str, str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (its own words go to a log)
        written(method, target, HERE, fields, has_body=False)


@pytest.mark.parametrize(
    ("fields", "sent"),
    [({"Content-Length": "5"}, b"hello"), ({}, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")],
)
@pytest.mark.parametrize("is_here", [False, True])
async def test_a_body_is_sent_as_its_head_tells(fields: dict[str, str], sent: bytes, is_here: bool) -> None:
    came = b""

    async def talk(line: Line) -> None:
        nonlocal came
        await line.request()
        came = await line.reader.readexactly(len(sent))
        await line.say(OK)
        assert await line.ended() == b""

    async with asking(talk) as (pool, worker):
        answer = await pool.ask("POST", "/", fields, Pieces(b"he", b"", b"llo", is_here=is_here))
        answer.close()
        await pool.close()
        await worker.finish()

    assert came == sent
