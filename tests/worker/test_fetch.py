"""Addresses are fetched from the public internet only, and the checked address is the one that is dialled."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import aiohttp
import pytest
from aiohttp import web

from tests.worker import pictures
from tests.worker.conftest import Start
from worker import fetch
from worker.fetch import Fetcher, IPAddress, is_public
from worker.problems import BadUrl, Busy, FetchFailed, FetchTooLarge, PrivateAddress

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
BYTES_MAX = 10_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[int]]


@pytest.fixture
async def stranger() -> AsyncIterator[Serve]:
    """Serve a handler on an address of this machine; gives the port."""
    runners: list[web.ServerRunner] = []

    async def serve(handler: Handler, host: str = HERE, port: int = 0, tls: ssl.SSLContext | None = None) -> int:
        runner = web.ServerRunner(web.Server(handler))  # type: ignore[arg-type]  # it gives BaseRequest
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        return int(runner.addresses[0][1])

    yield serve
    for runner in runners:
        await runner.cleanup()


def names(*answers: Sequence[str]) -> tuple[Callable[[str, int], Awaitable[Sequence[str]]], list[str]]:
    """A resolver that gives one answer after the other (the last one for ever), and the list of what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def only_here(address: IPAddress) -> bool:
    return address == ipaddress.ip_address(HERE)


def here() -> Fetcher:
    return Fetcher(names([HERE])[0], only_here)


async def hello(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"hello")


REFUSED = [
    "http://127.0.0.1/",
    "http://127.0.0.1:8080/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://127.0.0.1./",
    "http://127。0。0。1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127%2e0%2e0%2e1/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[0:0:0:0:0:ffff:10.0.0.1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:808:808::1]/",
    "http://[2001:0:7f00:1::]/",
    "http://[2001:0:0808:0808:0:0:f5ff:fffe]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[ff02::1]/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://8.8.8.8@127.0.0.1/",
    "http://user:password@example.com/",
    "http://@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1\t/",
    "http://exa mple.com/",
    "http://example.com:0/",
    "http://example.com:99999/",
    "http:///picture.png",
    "//example.com/picture.png",
    "example.com/picture.png",
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://127.0.0.1/",
    "data:image/png;base64,AAAA",
    "http://[::1",
    "http://" + "a" * 3000 + ".com/",
    "http://..../",
    "",
]


@pytest.mark.parametrize("url", REFUSED)
async def test_an_address_that_is_not_public_or_not_clear_is_refused_without_a_connection(url: str) -> None:
    async def resolve(host: str, _port: int) -> Sequence[str]:
        raise AssertionError(f"{host} was looked up")

    with pytest.raises((BadUrl, PrivateAddress)):
        await Fetcher(resolve).fetch(url, BYTES_MAX)


@pytest.mark.parametrize(
    "answer", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"], ["2606:4700::1", "::ffff:10.0.0.1"]]
)
async def test_a_name_with_any_address_that_is_not_public_is_refused(answer: list[str]) -> None:
    resolve, asked = names(answer)

    with pytest.raises(PrivateAddress):
        await Fetcher(resolve).fetch("http://example.com/", BYTES_MAX)

    assert asked == ["example.com"]


async def test_localhost_is_refused_by_the_resolver_of_this_machine() -> None:
    with pytest.raises(PrivateAddress):
        await Fetcher().fetch("http://localhost/", BYTES_MAX)


async def test_names_are_looked_up_in_threads_that_nobody_else_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        threads.append(threading.current_thread().name)
        return [(0, 0, 0, "", ("10.0.0.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    with pytest.raises(PrivateAddress):
        await Fetcher().fetch("http://example.com/", BYTES_MAX)

    assert [name.rpartition("_")[0] for name in threads] == ["names"]


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


async def test_a_file_is_fetched_with_its_own_host_and_nothing_of_us(stranger: Serve) -> None:
    heads: list[aiohttp.typedefs.LooseHeaders] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        heads.append(dict(request.headers))
        return web.Response(body=b"picture")

    port = await stranger(answer)

    assert await here().fetch(f"http://pictures.example:{port}/a.png?b=c", BYTES_MAX) == b"picture"
    assert heads == [
        {
            "Host": f"pictures.example:{port}",
            "User-Agent": "nijika-worker",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
    ]


async def test_a_name_that_changes_its_mind_is_dialled_where_it_was_checked(stranger: Serve) -> None:
    calls: list[str] = []

    async def public(_request: web.Request) -> web.StreamResponse:
        calls.append("public")
        return web.Response(body=b"public")

    async def private(_request: web.Request) -> web.StreamResponse:
        calls.append("private")
        return web.Response(body=b"private")

    port = await stranger(public)
    await stranger(private, ELSEWHERE, port)
    resolve, asked = names([HERE], [ELSEWHERE])
    fetcher = Fetcher(resolve, only_here)

    first = await fetcher.fetch(f"http://rebinding.example:{port}/", BYTES_MAX)
    with pytest.raises(PrivateAddress):
        await fetcher.fetch(f"http://rebinding.example:{port}/", BYTES_MAX)

    assert (first, calls) == (b"public", ["public"])
    assert len(asked) == 2


async def test_a_redirect_is_followed(stranger: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        hops = int(request.path.strip("/") or 0)
        return web.Response(status=302, headers={"Location": f"/{hops - 1}"}) if hops else web.Response(body=b"end")

    port = await stranger(answer)

    assert await here().fetch(f"http://a.example:{port}/3", BYTES_MAX) == b"end"
    with pytest.raises(FetchFailed, match="more than 3"):
        await here().fetch(f"http://a.example:{port}/4", BYTES_MAX)


@pytest.mark.parametrize("target", ["http://127.0.0.2:{port}/", "http://inner.example:{port}/", "//127.0.0.2:{port}/"])
async def test_a_redirect_to_a_private_address_is_refused(stranger: Serve, target: str) -> None:
    reached: list[str] = []

    async def inner(request: web.Request) -> web.StreamResponse:
        reached.append(request.path)
        return web.Response()

    async def outer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=301, headers={"Location": target.format(port=port)})

    port = await stranger(outer)
    await stranger(inner, ELSEWHERE, port)
    resolve, _ = names([HERE], [ELSEWHERE])

    with pytest.raises(PrivateAddress):
        await Fetcher(resolve, only_here).fetch(f"http://outer.example:{port}/", BYTES_MAX)

    assert not reached


@pytest.mark.parametrize("target", ["", "file:///etc/passwd", "http://0x7f.1/", "http://u:p@a.example/"])
async def test_a_redirect_to_no_web_address_is_refused(stranger: Serve, target: str) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": target})

    port = await stranger(answer)

    with pytest.raises(BadUrl):
        await here().fetch(f"http://a.example:{port}/", BYTES_MAX)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_larger_than_taken_is_not_read_to_its_end(stranger: Serve, announced: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "99999999"} if announced else {})
        await response.prepare(request)
        for _ in range(1000 if not announced else 0):
            await response.write(b"x" * 10_000)
        return response

    port = await stranger(answer)

    with pytest.raises(FetchTooLarge):
        await here().fetch(f"http://a.example:{port}/", BYTES_MAX)


async def test_a_compressed_answer_is_not_blown_up(stranger: Serve) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})

    port = await stranger(answer)

    with pytest.raises(FetchFailed, match="compressed"):
        await here().fetch(f"http://a.example:{port}/", BYTES_MAX)


@pytest.mark.parametrize("status", [201, 204, 404, 500])
async def test_another_status_than_200_is_told(stranger: Serve, status: int) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    port = await stranger(answer)

    with pytest.raises(FetchFailed, match=str(status)):
        await here().fetch(f"http://a.example:{port}/", BYTES_MAX)


async def test_a_server_that_is_silent_or_absent_is_a_failed_fetch(
    stranger: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TOTAL_SECONDS", 0.2)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await request.content.read()
        raise ConnectionResetError

    port = await stranger(answer)

    with pytest.raises(FetchFailed):
        await here().fetch(f"http://a.example:{port}/", BYTES_MAX)
    with pytest.raises(FetchFailed):
        await here().fetch("http://a.example:1/", BYTES_MAX)


async def test_no_cookie_goes_from_one_fetch_to_the_next(stranger: Serve) -> None:
    cookies: list[str | None] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(body=b"x", headers={"Set-Cookie": "a=b; Path=/"})

    port = await stranger(answer)
    fetcher = here()

    await fetcher.fetch(f"http://a.example:{port}/", BYTES_MAX)
    await fetcher.fetch(f"http://a.example:{port}/", BYTES_MAX)

    assert cookies == [None, None]


async def test_proxies_of_the_environment_are_not_asked(stranger: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    port = await stranger(hello)

    assert await here().fetch(f"http://a.example:{port}/", BYTES_MAX) == b"hello"


async def test_the_name_and_not_the_address_is_told_in_the_tls_handshake(stranger: Serve) -> None:
    told: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.sni_callback = lambda _socket, name, _context: told.append(name)
    port = await stranger(hello, tls=tls)

    with pytest.raises(FetchFailed):  # it has no certificate
        await here().fetch(f"https://a.example:{port}/", BYTES_MAX)

    assert told == ["a.example"]


async def test_only_so_many_fetches_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "OPEN_MAX", 0)

    with pytest.raises(Busy):
        await here().fetch("http://a.example/", BYTES_MAX)


async def test_json_with_an_address_is_cut_out(start: Start, http: aiohttp.ClientSession, stranger: Serve) -> None:
    data = pictures.scene(pictures.shape("star"), pictures.backdrop("green"))

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=data)

    port = await stranger(answer)
    url = await start(fetcher=here())

    done = await http.post(f"{url}/v1/cutout", json={"url": f"http://a.example:{port}/", "format": "webp"})
    refused = await http.post(f"{url}/v1/cutout", json={"url": "http://169.254.169.254/"})

    assert (done.status, done.content_type) == (200, "image/webp")
    assert (refused.status, (await refused.json(content_type=None))["code"]) == (403, "private-address")
