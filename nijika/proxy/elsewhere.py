"""Where the time of a request goes that is not the gateway's own: to the worker, and to a caller who is slow."""

from aiohttp import web


class Elsewhere:
    """Seconds that a request waited for its `worker`, or for room there, and for its `caller` to send or to read."""

    __slots__ = ("caller", "worker")

    def __init__(self) -> None:
        self.caller = 0.0
        self.worker = 0.0


_ELSEWHERE: web.RequestKey[Elsewhere] = web.RequestKey("ELSEWHERE", Elsewhere)


def begun(request: web.Request) -> Elsewhere:
    """What is known of a request that has just come: nothing."""
    made = request[_ELSEWHERE] = Elsewhere()
    return made


def elsewhere(request: web.Request) -> Elsewhere:
    """What is known of this request so far; whoever waits adds to it."""
    try:
        return request[_ELSEWHERE]
    except KeyError:
        return begun(request)
