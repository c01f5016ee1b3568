"""Another service's contract in front of a worker: its words for what the worker answers."""

import json
import logging
from dataclasses import dataclass
from typing import Protocol

from aiohttp import hdrs

from nijika.errors import Problem, UpstreamFailed
from nijika.proxy.answer import Answer

REFUSAL_BYTES_MAX = 65_536

log = logging.getLogger("nijika.upstream")

_MISPLACED = {404, 405}


@dataclass(frozen=True)
class Refusal:
    """What a worker says of a request that it does not take: a problem (RFC 9457) with a code."""

    status: int
    code: str
    detail: str


class Contract(Protocol):
    """How one service tells what a worker told; `kinds` are beginnings of the media types that a result may have."""

    kinds: tuple[str, ...]

    def dress(self, answer: Answer) -> Answer:
        """What stands for a result."""

    def refuse(self, refusal: Refusal) -> Problem:
        """What stands for a refusal."""


async def worded(answer: Answer, contract: Contract) -> Answer:
    """The worker's answer in the words of the contract.

    Raises what the contract makes of a refusal; UpstreamFailed for what is neither a result nor a refusal, or tells
    that the gateway asks in the wrong place.
    """
    kind = answer.headers.get(hdrs.CONTENT_TYPE, "")
    if 200 <= answer.status < 300 and kind.lower().startswith(contract.kinds):  # noqa: PLR2004 (2xx)
        return contract.dress(answer)
    refusal = await _refusal(answer)
    if refusal is None:
        log.warning("%s: answered %d, %s, which does not fit here", answer.url.origin(), answer.status, kind)
        raise UpstreamFailed
    raise contract.refuse(refusal)


async def _refusal(answer: Answer) -> Refusal | None:
    if not 400 <= answer.status < 500 or answer.status in _MISPLACED:  # noqa: PLR2004 (4xx)
        return None
    body = b""
    while piece := await answer.content.readany():
        body += piece
        if len(body) > REFUSAL_BYTES_MAX:
            return None
    try:
        fields = json.loads(body)
        return Refusal(answer.status, str(fields["code"]), str(fields["detail"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
