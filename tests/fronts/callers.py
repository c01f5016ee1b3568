"""Callers of a front: over TLS, in HTTP/1.1 or HTTP/2, each from an address of its own (all of 127.0.0.0/8 is here)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from tests.fronts.front import Site

SOMEBODY = "127.0.0.7"
SOMEBODY_ELSE = "127.0.0.8"
PROTOCOLS = ("HTTP/1.1", "HTTP/2")


@asynccontextmanager
async def caller(
    site: Site, *, address: str = SOMEBODY, protocol: str = "HTTP/1.1"
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of its own, which has closed its connections when the block ends."""
    is_new = protocol == "HTTP/2"
    assert site.certificate is not None, "callers come to a front that speaks TLS"
    transport = httpx2.AsyncHTTPTransport(
        verify=site.certificate.trusting(), http1=not is_new, http2=is_new, local_address=address
    )
    async with httpx2.AsyncClient(transport=transport, base_url=site.url, timeout=20) as client:
        yield client
