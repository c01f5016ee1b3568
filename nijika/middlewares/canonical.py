"""The third link: one reading of method, target and Host, and the route that they lead to."""

import re
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from nijika.errors import BadHost, BadPath, BadRequest, ExpectationFailed, MethodNotAllowed, Problem
from nijika.module import FREE, Handler, Match, Middleware, Route
from nijika.proxy.path import canonical
from nijika.route import ANYWHERE
from nijika.state import CLIENT_IP, MATCH, PATH, PEER, QUERY, ROUTES

_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{1,5}))?", re.ASCII)
_PORT_MAX = 65_535


class Canonical(Middleware):
    """Always third; it needs no table in config.toml."""

    use: str = "canonical"

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what could be read in two ways; put PATH, QUERY, MATCH and the peer's address on the request."""
        _check_framing(request)
        _check_method(request.method)
        request[PATH], request[QUERY] = canonical(request.raw_path)
        _check_host(request.headers.get(hdrs.HOST))
        if request.headers.get(hdrs.EXPECT, "100-continue").lower() != "100-continue":
            raise ExpectationFailed
        request[PEER] = request[CLIENT_IP] = _peer(request)
        request[MATCH] = _match(request)
        return await handler(request)

    def refuses(self, route: Route) -> tuple[type[Problem], ...]:  # noqa: ARG002 (they all need a request)
        """What could be read in two ways."""
        return BadRequest, BadPath, BadHost, ExpectationFailed


def _match(request: web.Request) -> Match:
    """A path that leads nowhere is a free route that refuses, so that the links in between count it all the same."""
    try:
        return request.app[ROUTES].match(request.method, request[PATH])
    except Problem as problem:
        return Match(
            Route((request.method,), ANYWHERE, partial(_refuse, problem), FREE, who="visitor", continues=True), {}
        )


async def _refuse(problem: Problem, _: web.Request) -> web.StreamResponse:
    raise problem


def _check_framing(request: web.Request) -> None:
    """Where a request ends must be beyond doubt for every server on the way (RFC 9112, 6.1, 6.3)."""
    if request.version not in {HttpVersion10, HttpVersion11}:
        raise BadRequest("Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    codings = request.headers.getall(hdrs.TRANSFER_ENCODING, ())
    if not codings:
        return
    if len(codings) > 1 or codings[0].lower() != "chunked" or request.version == HttpVersion10:
        raise BadRequest("The only Transfer-Encoding is chunked, in HTTP/1.1.")


def _check_method(method: str) -> None:
    if method in {"CONNECT", "TRACE"}:
        problem = MethodNotAllowed(method, ())
        problem.closes = True
        raise problem


def _check_host(host: str | None) -> None:
    """HTTP/1.0 may leave Host out; later versions without it are refused by the parser."""
    if host is None:
        return
    match = _HOST.fullmatch(host)
    if match is None or int(match[1] or 0) > _PORT_MAX:
        raise BadHost


def _peer(request: web.Request) -> IPv4Address | IPv6Address:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return _address(peer[0] if peer else "0.0.0.0")  # noqa: S104 (nobody; not a binding)


@lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address:
    """Most callers come again."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
