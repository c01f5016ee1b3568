"""What could be read in two ways is read in none, and its connection is never used again."""

import pytest

from nijika.proxy.http1.failures import Broken
from tests.proxy.http1.cases import GOOD, REFUSED, Good
from tests.proxy.http1.worker import OK, Line, asked, asking


@pytest.mark.parametrize("answer", [case[1] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_an_answer_that_is_no_http_is_refused_and_its_connection_ends(answer: bytes) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        if line.number == 0:
            await line.say(answer)
            line.writer.write_eof()
        else:
            await line.say(OK)
        await line.ended()

    async with asking(talk) as (pool, behind):
        with pytest.raises(Broken):
            await asked(pool)

        assert await asked(pool) == (200, b"ok")
        assert len(behind.lines) == 2


@pytest.mark.parametrize("case", GOOD, ids=[case.name for case in GOOD])
async def test_a_good_answer_is_read_and_its_connection_used_again_if_nothing_is_behind(case: Good) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.say(case.answer if line.number == 0 else OK)
        if line.number == 0 and case.again:
            await line.request()
            await line.say(OK)
        elif b"\r\n\r\n" in case.answer:
            line.writer.write_eof()
        await line.ended()

    async with asking(talk) as (pool, behind):
        first = await asked(pool, case.method)
        second = await asked(pool)

    assert (first, second) == ((case.status, case.body), (200, b"ok"))
    assert len(behind.lines) == (1 if case.again else 2)
