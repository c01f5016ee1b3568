"""Which addresses a webhook may have: a stranger chooses them, and none may lead into our own network."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from nijika.webhooks.names import Names

LOOK_UP_SECONDS = 5.0
URL_CHARACTERS_MAX = 2_048

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?", re.IGNORECASE)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NEVER = tuple(
    # Some versions of Python call them global: IETF assignments (where a cloud keeps metadata), relays of 6to4, and
    # the address under which Azure's machines find their platform.
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32"))
)


class BadAddress(ValueError):
    """A sentence that says what is wrong with a webhook's address."""


class Addresses:
    """Reads, looks up and judges addresses: https to public ones, anything to those in the networks of `allow`.

    Each name is looked up once, and the `resolver` of a scheme gives only what was judged, so that a name cannot
    change its mind between the check and the connection (DNS rebinding).
    """

    def __init__(self, allow: Sequence[IPNetwork] = (), resolve: Resolve | None = None) -> None:
        self._names = Names()
        self._allow = tuple(allow)
        self._check = resolve or self._names.to_check
        self._checking: set[int] = set()
        look_up = resolve or self._names.to_send
        self._resolvers = {
            "https": _Resolver(look_up, lambda address: is_public(address) or self._allows(address)),
            "http": _Resolver(look_up, self._allows),
        }

    def resolver(self, scheme: str) -> AbstractResolver:
        """What a connection of `http` or `https` is made with; it raises BadAddress."""
        return self._resolvers[scheme]

    def parse(self, text: str) -> URL:
        """The address in its one reading; BadAddress, whatever it would be looked up to."""
        url = _parsed(text)
        if url.scheme != "https" and not (url.scheme == "http" and self._allow):
            raise BadAddress("The address must begin with https://.")
        if "@" in url.authority or re.match(r"([a-z]+:)?//[^/?#]*@", text, re.IGNORECASE):
            raise BadAddress("The address must not carry a user name or a password.")
        if not url.port or not _is_host(url.raw_host or ""):
            raise BadAddress("The address has no host name that can be looked up.")
        literal = _literal(url)
        if literal is not None:
            # aiohttp does not ask a resolver about addresses that are written out.
            self._resolvers[url.scheme].judge([literal])
        return url.with_fragment(None)

    async def check(self, text: str, account: int) -> URL:
        """As `parse`, with a look where the name leads to now; of each account one at a time."""
        url = self.parse(text)
        if _literal(url) is not None:
            return url
        if account in self._checking:
            raise BadAddress("Another address of yours is being looked up. Try again in a minute.")
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await asyncio.shield(self._looking(url, account))
        except (OSError, UnicodeError):  # a timeout is one, too
            raise BadAddress("The host name of the address cannot be looked up.") from None
        self._resolvers[url.scheme].judge(_read(found, url.raw_host or ""))
        return url

    def _looking(self, url: URL, account: int) -> asyncio.Future[Sequence[str]]:
        """A look-up that nobody waits for any more goes on, and its account has no other meanwhile."""

        def ended(looking: asyncio.Future[Sequence[str]]) -> None:
            self._checking.discard(account)
            if not looking.cancelled():
                looking.exception()  # somebody has heard of it

        self._checking.add(account)
        looking = asyncio.ensure_future(self._check(url.raw_host or "", url.port or 0))
        looking.add_done_callback(ended)
        return looking

    def close(self) -> None:
        """End the threads that look names up."""
        self._names.close()

    def _allows(self, address: IPAddress) -> bool:
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._allow)


class _Resolver(AbstractResolver):
    def __init__(self, resolve: Resolve, trusts: Callable[[IPAddress], bool]) -> None:
        self._resolve = resolve
        self._trusts = trusts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = _read(await self._resolve(host, port), host)
        self.judge(addresses)
        return [_dialled(host, port, each) for each in addresses if family in (socket.AF_UNSPEC, _family(each))]

    def judge(self, addresses: Sequence[IPAddress]) -> None:
        if not all(map(self._trusts, addresses)):
            raise BadAddress("The address leads to a place that is not on the public internet.")

    async def close(self) -> None: ...


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to the public internet, and an IPv4 address inside it too (RFC 4291, 6052).

    Tunnels of old (6to4: RFC 7526, Teredo) lead anywhere, and versions of Python differ about them: never public.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in network for network in _NEVER)
    if address.ipv4_mapped:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.sixtofour is not None or address.teredo is not None:
        return False
    return address in _GLOBAL_UNICAST and address.is_global


def _read(found: Sequence[str], host: str) -> list[IPAddress]:
    if not found:
        raise OSError(f"no address for {host}")
    return [ipaddress.ip_address(text) for text in found]


def _parsed(text: str) -> URL:
    if not text or len(text) > URL_CHARACTERS_MAX or not text.isprintable() or re.search(r"[\s\\]", text):
        raise BadAddress("The address is empty, too long, or has characters in it that none has.")
    try:
        url = URL(text)
        url.port, url.host  # noqa: B018 (they are read when they are asked for)
    except ValueError:
        raise BadAddress("The address cannot be read. Write it as https://example.com/hook.") from None
    if len(str(url)) > URL_CHARACTERS_MAX:
        raise BadAddress("The address is too long, once what is not ASCII in it is escaped.")
    return url


def _literal(url: URL) -> IPAddress | None:
    try:
        return ipaddress.ip_address(url.raw_host or "")
    except ValueError:
        return None


def _is_host(host: str) -> bool:
    try:
        return not getattr(ipaddress.ip_address(host), "scope_id", None)
    except ValueError:
        # Half-written and hexadecimal IPv4 addresses (127.1, 0x7f.1, 2130706433) end in a number; names do not.
        return bool(_NAME.fullmatch(host)) and not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2])


def _family(address: IPAddress) -> socket.AddressFamily:
    return socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6


def _dialled(host: str, port: int, address: IPAddress) -> ResolveResult:
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=_family(address), proto=0, flags=socket.AI_NUMERICHOST
    )
