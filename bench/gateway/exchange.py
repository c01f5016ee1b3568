"""Single requests, as a caller makes them: to see that a contender works, and to measure what one call meets."""

import http.client
import json
import time
from collections.abc import Mapping
from typing import TypeAlias

from bench.gateway.ports import LOOPBACK
from bench.gateway.programs import Unavailable
from bench.gateway.sizes import BODY_BYTES, SMALL_BYTES

Fields: TypeAlias = Mapping[str, str]

TIMEOUT_SECONDS = 60
QUIET_SECONDS, QUIET_SECONDS_MAX = 0.2, 30.0
OK = 200

_SMALL = b'{"image":"' + b"x" * (BODY_BYTES - 12) + b'"}'


def connect(port: int) -> http.client.HTTPConnection:
    """A connection of its own."""
    return http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_SECONDS)


def tally(upstream: int, query: str) -> int:
    """How many calls with this query the upstream has answered."""
    connection = connect(upstream)
    connection.request("GET", f"/api/tally?{query}")
    answers: int = json.loads(connection.getresponse().read())
    connection.close()
    return answers


def await_quiet(upstream: int, query: str) -> int:
    """The tally, once it does not grow any more: a contender may go on with what nobody waits for."""
    before, now = -1, tally(upstream, query)
    deadline = time.monotonic() + QUIET_SECONDS_MAX
    while now != before and time.monotonic() < deadline:
        time.sleep(QUIET_SECONDS)
        before, now = now, tally(upstream, query)
    return now


def small(connection: http.client.HTTPConnection, prefix: str, fields: Fields) -> None:
    """One small call. Unavailable if its answer is not what the upstream gives."""
    try:
        connection.request("POST", f"{prefix}/small", _SMALL, {"Content-Type": "application/json", **fields})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"A call broke off: {error or type(error).__name__}") from None
    if answer.status != OK or body != bytes(SMALL_BYTES):
        raise Unavailable(f"A call was answered {answer.status}: {body[:200].decode(errors='replace')!r}")
