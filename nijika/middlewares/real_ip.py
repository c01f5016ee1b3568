"""Who the caller really is, behind proxies that the operator trusts. Source: RFC 7239 (Forwarded)."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import hdrs, web

from nijika.module import Handler, Middleware
from nijika.network import Network
from nijika.state import CLIENT_IP

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?", re.ASCII)


class RealIp(Middleware):
    """Who the caller really is, behind proxies that you trust.

    The addresses that were handed on (X-Forwarded-For, or else Forwarded) are walked from the nearest to the farthest;
    the first one that is not trusted is the caller. A text that is no address ends the walk at the hop before it.
    """

    use: str = "real_ip"
    trusted_proxies: tuple[Network, ...] = ()
    """The networks of your own proxies and balancers, whose word on the caller's address counts; without any, only the
    socket's peer does. Never a network in which callers are: they could be whoever they like.
    """

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Put the caller's address on the request."""
        request[CLIENT_IP] = self.client(request[CLIENT_IP], request)
        return await handler(request)

    def client(self, peer: IPv4Address | IPv6Address, request: web.Request) -> IPv4Address | IPv6Address:
        """The caller's address, given the socket's peer and the fields that it sent."""
        client = peer
        hops = _hops(request)
        while self._trusts(client):
            hop = next(hops, None)
            if hop is None:
                break
            client = hop
        return client

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted_proxies)


def _hops(request: web.Request) -> Iterator[IPv4Address | IPv6Address]:
    """The addresses that proxies wrote down, the nearest first, up to the first that is none.

    One field is read: X-Forwarded-For, which every proxy sends, or else Forwarded.
    """
    lines = request.headers.getall(hdrs.X_FORWARDED_FOR, ())
    nodes = [node for line in lines for node in line.split(",")]
    if not lines:
        nodes = [_for(element) for line in request.headers.getall(hdrs.FORWARDED, ()) for element in _split(line, ",")]
    for node in reversed(nodes):
        address = _address(node.strip())
        if address is None:
            return
        yield address


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators; inside of quotes these separate nothing."""
    parts, start, quoted, escaped = [], 0, False, False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:index])
            start = index + 1
    if quoted:
        return [""]  # what a trusted proxy added may stand within these quotes: all of it is garbage
    return [*parts, text[start:]]


def _for(element: str) -> str:
    for part in _split(element, ";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')
    return ""


def _address(node: str) -> IPv4Address | IPv6Address | None:
    """An address, perhaps in brackets and perhaps with a port; None for anything else."""
    match = _WITH_PORT.fullmatch(node)
    try:
        address = ip_address(match[1] or match[2] if match else node)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return None  # a zone is free text, and means nothing on this machine
    return getattr(address, "ipv4_mapped", None) or address
