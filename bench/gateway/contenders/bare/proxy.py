"""A proxy that streams both ways and does nothing else: `python -m …contenders.bare.proxy PORT UPSTREAM`."""

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"})


async def _serve(port: int, upstream: int) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{upstream}", connector=connector, auto_decompress=False
    ) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            async with session.request(
                request.method,
                request.rel_url,
                headers=[(name, text) for name, text in request.headers.items() if name.lower() not in _HOP_BY_HOP],
                data=request.content if request.can_read_body else None,
                allow_redirects=False,
            ) as answer:
                response = web.StreamResponse(status=answer.status)
                for name, text in answer.headers.items():
                    if name.lower() not in _HOP_BY_HOP:
                        response.headers.add(name, text)
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                return response

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None, auto_decompress=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(*map(int, sys.argv[1:])))
