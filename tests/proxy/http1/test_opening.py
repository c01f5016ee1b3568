"""How a connection comes about, and how it is told that none did."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from nijika.proxy.http1 import opening
from nijika.proxy.http1.failures import Broken, Unreachable
from nijika.proxy.http1.pool import Pool
from tests.fronts import certificate
from tests.fronts.certificate import Certificate
from tests.proxy.http1.worker import OK, Line, asked, saying, worker


@pytest.fixture
def cert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Certificate]:
    """A certificate for 127.0.0.1 that nobody trusts yet."""
    yield certificate.make(tmp_path)
    opening._verifying.cache_clear()


def context(cert: Certificate) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(cert.certificate, cert.key)
    return made


def trust(cert: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operator tells OpenSSL."""
    monkeypatch.setenv("SSL_CERT_FILE", str(cert.certificate))
    opening._verifying.cache_clear()


async def test_a_worker_with_a_certificate_is_asked_over_tls(
    cert: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(cert, monkeypatch)
    async with worker(saying(OK, OK), context(cert)) as behind:
        pool = Pool(behind.url, connect_seconds=5)

        assert [await asked(pool), await asked(pool)] == [(200, b"ok")] * 2
        assert len(behind.lines) == 1
        await pool.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused(cert: Certificate) -> None:
    async with worker(saying(), context(cert)) as behind:
        pool = Pool(behind.url, connect_seconds=5)

        with pytest.raises(Unreachable, match="certificate verify failed"):
            await asked(pool)
        await pool.close()


async def test_a_certificate_for_another_name_is_refused(cert: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(cert, monkeypatch)
    async with worker(saying(), context(cert)) as behind:
        pool = Pool(behind.url.replace("127.0.0.1", "localhost"), connect_seconds=5)

        with pytest.raises(Unreachable, match="certificate verify failed"):
            await asked(pool)
        await pool.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok"])
async def test_an_answer_over_tls_that_is_cut_short_is_broken(
    cert: Certificate, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    trust(cert, monkeypatch)

    async def talk(line: Line) -> None:
        await line.request()
        await line.say(answer)

    async with worker(talk, context(cert)) as behind:
        pool = Pool(behind.url, connect_seconds=5)

        with pytest.raises(Broken):
            await asked(pool)
        await pool.close()


@pytest.mark.asyncio(loop_factories=["uvloop"])  # asyncio's own does not tell one end from the other
async def test_an_answer_until_the_end_is_whole_over_tls_only_if_the_worker_says_so(
    cert: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sits between could cut it anywhere (RFC 9112, 9.8)."""
    trust(cert, monkeypatch)

    async def talk(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\n\r\nok")
        if line.number > 0:
            line.cut()

    async with worker(talk, context(cert)) as behind:
        pool = Pool(behind.url, connect_seconds=5)

        assert await asked(pool) == (200, b"ok")
        with pytest.raises(Broken):
            await asked(pool)
        await pool.close()


async def test_a_name_is_asked_at_whichever_of_its_addresses_answers() -> None:
    async with worker(saying(OK)) as behind:
        pool = Pool(behind.url.replace("127.0.0.1", "localhost"), connect_seconds=5)

        assert await asked(pool) == (200, b"ok")
        await pool.close()


@pytest.mark.parametrize("base", ["http://127.0.0.1:9", "https://127.0.0.1:9", "http://nobody.invalid"])
async def test_where_nobody_is_nothing_is_sent(base: str) -> None:
    pool = Pool(base, connect_seconds=5)

    with pytest.raises(Unreachable) as caught:
        await asked(pool)
    assert not caught.value.hangs
    assert str(caught.value).startswith(f"{base} cannot be reached")
    await pool.close()


async def test_who_does_not_greet_in_time_hangs() -> None:
    done = asyncio.Event()

    async def silent(_: Line) -> None:
        await done.wait()

    async with worker(silent) as behind:
        pool = Pool(behind.url.replace("http:", "https:"), connect_seconds=0.2)

        with pytest.raises(Unreachable, match=r"within 0\.2 s") as caught:
            await asked(pool)
        assert caught.value.hangs
        done.set()
        await pool.close()
