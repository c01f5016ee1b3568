"""A body that is read before its handler is asked, which then reads it as if it were still to come."""

from aiohttp import StreamReader, web

from nijika.proxy.inbound import Inbound


async def gathered(request: web.Request, body: Inbound) -> None:
    """Read all of `body`, and put it back in the request's place; raises what `Inbound.chunks` raises."""
    whole = b"".join([chunk async for chunk in body.chunks()])
    # The bound is there to pause a caller who sends faster than is read, and this one has sent everything.
    reader = StreamReader(request.protocol, len(whole) + 1)
    reader.feed_data(whole)
    reader.feed_eof()
    request._payload = reader  # noqa: SLF001 (aiohttp has no public way to give a body back)
