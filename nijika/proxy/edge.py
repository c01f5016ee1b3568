"""What stands in front of a worker and sometimes answers in its place: Modal's edge, which marks its own words.

Source: what public repositories record of it: 404 "modal-http: app for invoked web endpoint is stopped" and
"modal-http: invalid function call", 400 "modal-http: bad redirect method", and others that begin alike.
"""

import logging

from nijika.errors import UpstreamFailed
from nijika.proxy.answer import Awaited

MARK = b"modal-http:"
TOLD_MAX = 200  # characters, for the log

log = logging.getLogger("nijika.upstream")


async def refuse_foreign(answer: Awaited) -> None:
    """Raise UpstreamFailed for a 4xx that is no word of the worker's: it is none of the caller's fault."""
    if 400 <= answer.status < 500 and await answer.begins_with(MARK):  # noqa: PLR2004 (4xx)
        log.warning("%s: answered %d: %s", answer.url.origin(), answer.status, printable(await answer.readany()))
        raise UpstreamFailed


def printable(words: bytes) -> str:
    """The beginning of a text, in one line, for the log."""
    return "".join(filter(str.isprintable, words.decode(errors="replace")))[:TOLD_MAX]
