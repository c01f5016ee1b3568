"""Who the caller really is, behind proxies that the operator trusts. Source: RFC 7239 (Forwarded)."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import hdrs, web

from nijika.module import Handler, Middleware
from nijika.state import CLIENT_IP

_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,"\s]*)\s*')
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?", re.ASCII)


class RealIp(Middleware):
    """`trusted_proxies` lists networks (CIDR) whose word on the client's address counts; empty: nobody's does.

    The addresses that were handed on are walked from the nearest to the farthest; the first one that is not trusted
    is the caller. A text that is no address ends the walk at the hop before it.
    """

    use: str = "real_ip"
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()

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
        nodes = [_for(element) for line in request.headers.getall(hdrs.FORWARDED, ()) for element in _elements(line)]
    for node in reversed(nodes):
        address = _address(node.strip())
        if address is None:
            return
        yield address


def _elements(line: str) -> list[str]:
    """The comma-separated elements of a Forwarded field; commas inside of quotes separate nothing."""
    return re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', line)


def _for(element: str) -> str:
    for part in re.findall(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+', element):
        pair = _PAIR.fullmatch(part)
        if pair is not None and pair[1].lower() == "for":
            return pair[2].strip('"')
    return ""


def _address(node: str) -> IPv4Address | IPv6Address | None:
    """An address, perhaps in brackets and perhaps with a port; None for anything else."""
    match = _WITH_PORT.fullmatch(node)
    try:
        address = ip_address(match[1] or match[2] if match else node)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
