"""Fetches a picture from a stranger's server without letting him choose an address inside our own network."""

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from worker.problems import BadUrl, Busy, FetchFailed, FetchTooLarge, PrivateAddress

HOPS_MAX = 3
OPEN_MAX = 8
LOOK_UPS_MAX = 16
TOTAL_SECONDS = 20
URL_CHARACTERS_MAX = 2_048

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?", re.IGNORECASE)
_USER_INFO = re.compile(r"([a-z]+:)?//[^/?#]*@", re.IGNORECASE)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Fetcher:
    """Fetches http and https addresses, on any port, whose name leads to public addresses only.

    Each name is resolved once and the checked answer is what is dialled, so that a name cannot change its
    mind in between (DNS rebinding); every redirect is checked again. No cookies, no proxies, no decompression.
    """

    def __init__(self, resolve: Resolve | None = None, trusts: Callable[[IPAddress], bool] | None = None) -> None:
        # A name server that is silent keeps a thread for longer than anyone waits: not one of those that others need.
        self._names = ThreadPoolExecutor(LOOK_UPS_MAX, "names")
        self._resolver = _CheckingResolver(resolve or self._look_up, trusts or is_public)
        self._open = 0

    async def fetch(self, url: str, bytes_max: int) -> bytes:
        """Return the body behind `url`. Raises BadUrl, PrivateAddress, FetchFailed, FetchTooLarge, Busy."""
        if self._open >= OPEN_MAX:
            raise Busy
        self._open += 1
        try:
            async with asyncio.timeout(TOTAL_SECONDS), self._session() as session:
                return await self._follow(session, _parse(url), bytes_max)
        except TimeoutError as error:
            raise FetchFailed(f"The server of the url took longer than {TOTAL_SECONDS} seconds.") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed("The url could not be fetched. Check that it opens in a browser.") from error
        finally:
            self._open -= 1

    async def _look_up(self, host: str, port: int) -> list[str]:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._names, look_up)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={hdrs.USER_AGENT: "nijika-worker", hdrs.ACCEPT: "image/*", hdrs.ACCEPT_ENCODING: "identity"},
            auto_decompress=False,
            trust_env=False,
        )

    async def _follow(self, session: aiohttp.ClientSession, url: URL, bytes_max: int) -> bytes:
        for _ in range(HOPS_MAX + 1):
            self._resolver.check_literal(url)
            async with session.get(url, allow_redirects=False) as response:
                if not 300 <= response.status < 400:  # noqa: PLR2004 - RFC 9110, 15.4
                    return await _body(response, bytes_max)
                url = _parse(response.headers.get(hdrs.LOCATION, ""), url)
        raise FetchFailed(f"The url redirects more than {HOPS_MAX} times.")


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to the public internet, and an IPv4 address inside it too (RFC 4291, 6052).

    Tunnels of old (6to4: RFC 7526, Teredo) lead anywhere, and versions of Python differ about them: never public.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if address.ipv4_mapped:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.sixtofour is not None or address.teredo is not None:
        return False
    return address in _GLOBAL_UNICAST and address.is_global


class _CheckingResolver(AbstractResolver):
    def __init__(self, resolve: Resolve, trusts: Callable[[IPAddress], bool]) -> None:
        self._resolve = resolve
        self._trusts = trusts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = [ipaddress.ip_address(text) for text in await self._resolve(host, port)]
        if not addresses:
            raise OSError(f"no address for {host}")
        if not all(map(self._trusts, addresses)):
            raise PrivateAddress("The url leads to an address that is not public. Send the picture itself.")
        return [
            _dialled(host, port, address) for address in addresses if family in (socket.AF_UNSPEC, _family(address))
        ]

    async def close(self) -> None: ...

    def check_literal(self, url: URL) -> None:
        # aiohttp does not ask a resolver about addresses that are written out.
        with contextlib.suppress(ValueError):
            if not self._trusts(ipaddress.ip_address(url.host or "")):
                raise PrivateAddress("The url leads to an address that is not public. Send the picture itself.")


def _family(address: IPAddress) -> socket.AddressFamily:
    return socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6


def _dialled(host: str, port: int, address: IPAddress) -> ResolveResult:
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=_family(address), proto=0, flags=socket.AI_NUMERICHOST
    )


def _parse(text: str, origin: URL | None = None) -> URL:
    if not text or len(text) > URL_CHARACTERS_MAX or not text.isprintable() or re.search(r"[\s\\]", text):
        raise BadUrl("The url is empty, too long, or has characters in it that no url has.")
    try:
        url = origin.join(URL(text)) if origin else URL(text)
        port = url.port
    except ValueError as error:
        raise BadUrl("The url cannot be read. Write it as https://example.com/picture.jpg.") from error
    if url.scheme not in ("http", "https"):
        raise BadUrl("The url must begin with http:// or https://.")
    if _USER_INFO.match(text) or "@" in url.authority:
        raise BadUrl("The url must not carry a user name or a password.")
    if not port or not _is_host(url.raw_host or ""):
        raise BadUrl("The url has no host name that can be looked up.")
    return url


def _is_host(host: str) -> bool:
    try:
        return not getattr(ipaddress.ip_address(host), "scope_id", None)
    except ValueError:
        # Half-written and hexadecimal IPv4 addresses (127.1, 0x7f.1, 2130706433) end in a number; names do not.
        return bool(_NAME.fullmatch(host)) and not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2])


async def _body(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    if response.status != 200:  # noqa: PLR2004 - RFC 9110, 15.3.1
        raise FetchFailed(f"The server of the url answered {response.status}. Check that it opens in a browser.")
    if response.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise FetchFailed("The server of the url sent the picture compressed, unasked. Send the picture itself.")
    if (response.content_length or 0) > bytes_max:
        raise FetchTooLarge(bytes_max)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            raise FetchTooLarge(bytes_max)
    return bytes(body)
