"""An answer means the same, whatever segments it comes in."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.http1.cases import GOOD, REFUSED, Good
from tests.proxy.http1.wire import outcome

SHORT_BYTES = 600


def bytewise(answer: bytes) -> list[bytes]:
    return [answer[at : at + 1] for at in range(len(answer))]


@pytest.mark.parametrize("case", GOOD, ids=[case.name for case in GOOD])
async def test_a_good_answer_is_the_same_byte_for_byte(case: Good) -> None:
    whole = await outcome([case.answer], case.method)

    assert (whole[0], *whole[2:]) == (case.status, case.body, case.again)
    assert await outcome(bytewise(case.answer), case.method) == whole


@pytest.mark.parametrize("answer", [case[1] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_an_answer_that_is_refused_is_refused_byte_for_byte(answer: bytes) -> None:
    assert await outcome([answer]) == ("broken",)
    assert await outcome(bytewise(answer)) == ("broken",)


@pytest.mark.parametrize("case", [case for case in GOOD if len(case.answer) < SHORT_BYTES], ids=lambda case: case.name)
async def test_a_good_answer_may_be_split_anywhere(case: Good) -> None:
    whole = await outcome([case.answer], case.method)

    for at in range(1, len(case.answer)):
        assert await outcome([case.answer[:at], case.answer[at:]], case.method) == whole


TOKENS = st.text("abcXYZ019-_!~", min_size=1, max_size=8).map(str.encode)
VALUES = st.binary(max_size=12).map(lambda data: bytes(byte for byte in data if byte >= 0x20 and byte != 0x7F))
PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=5)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Mostly good ones; and some with anything in their midst."""
    fields = draw(st.lists(st.tuples(TOKENS, VALUES), max_size=4))
    pieces = draw(PIECES)
    body, frame = b"".join(pieces), draw(st.sampled_from(["length", "chunks", "end"]))
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%b: %b\r\n" % field for field in fields)
    if frame == "chunks":
        head += b"Transfer-Encoding: chunked\r\n"
        body = b"".join(b"%x;x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nT: x\r\n\r\n"
    elif frame == "length":
        head += b"Content-Length: %d\r\n" % len(body)
    answer = head + b"\r\n" + body + draw(st.sampled_from([b"", b"", b"\r\n", b"x"]))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(answer)))
        answer = answer[:at] + draw(st.sampled_from([b"\r", b"\n", b"\0", b" ", b"\r\n", b"0", b":"])) + answer[at:]
    return answer


@settings(max_examples=300, deadline=None)
@given(answers(), st.lists(st.integers(0, 400), max_size=12))
def test_no_way_of_splitting_an_answer_changes_what_it_means(answer: bytes, cuts: list[int]) -> None:
    ends = [*sorted({min(cut, len(answer)) for cut in cuts} - {0, len(answer)}), len(answer)]
    segments = [answer[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    async def both() -> tuple[object, object]:
        return await outcome([answer]), await outcome(segments)

    whole, split = asyncio.run(both())

    assert split == whole
