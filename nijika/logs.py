"""How lines of the log look: readable or JSON, each with the id of its request, and nothing that could pose as a line.

What comes from outside may hold line ends, which would begin a line of their own, and sequences that a terminal obeys.
Whoever writes a line need not think of that: both forms take the sting out of everything.
"""

import json
import logging
import re
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, TextIO

from nijika import request_id

Form = Literal["json", "text"]

MALFORMED_SECONDS = 1.0

# Control characters, line ends of Unicode, what turns the direction of writing around, and halves of characters.
_STINGS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Nobody writes these into a line on purpose. A caller may have put its key into the path, and a library may tell of an
# address with all that is in it: who signs in there with which password, and what is asked for.
_SECRETS = re.compile(r"(?<=nj_live_)[0-9A-Za-z]+|(?<=://)[^\s/?#'\"]+(?=@)|(?<=\?)[^\s'\"?]*=[^\s'\"]*")


def configure(form: Form = "text") -> None:
    """Log to standard error; standard output belongs to what commands print."""
    logging.basicConfig(level=logging.INFO, handlers=[handler(form, sys.stderr)])
    # What no line tells need not be found out for each (Python, "Logging HOWTO", Optimization).
    logging._srcfile = None  # noqa: SLF001 (the name that the HOWTO gives)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def handler(form: Form, stream: TextIO) -> logging.Handler:
    """Writes all that it is given into the stream, in this form."""
    made = logging.StreamHandler(stream)
    made.addFilter(_named)
    made.setFormatter(Json() if form == "json" else Text())
    return made


class Text(logging.Formatter):
    """`time level logger: message field=value … request_id=…`; a traceback follows, each of its lines indented."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and those of a traceback."""
        when = f"{_clock(int(record.created))},{int(record.msecs):03d}"
        line = f"{when} {record.levelname} {record.name}: {record.getMessage()}"
        for name, value in _fields(record).items():
            if name not in _SAID:
                line += f" {name}={value}"
        lines = [harmless(line), *(f"    {harmless(more)}" for more in _trace(self, record).splitlines())]
        return _hidden("\n".join(lines))


@lru_cache(maxsize=2)
def _clock(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


class Json(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, the fields of the record, and a traceback as one field."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. What is not ASCII is written as JSON's escapes, so that no program can see a line end in it."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if trace := _trace(self, record):
            told["traceback"] = trace
        return _hidden(_ENCODER.encode(told))


_ENCODER = json.JSONEncoder(default=str)

_SAID = {"method", "path", "status"}
"""What the message of an access line has said already."""


class Malformed:
    """Requests that are no HTTP: one line in MALFORMED_SECONDS at most, with the number of those it stands for."""

    def __init__(self) -> None:
        self._log = logging.getLogger("nijika.malformed")
        self._count = 0
        self._quiet_until = 0.0

    def note(self, peer: str | None, what: BaseException | None) -> None:
        """Count one, and write the line if none was written a moment ago."""
        self._count += 1
        if time.monotonic() < self._quiet_until:
            return
        self._log.warning("%d malformed, the last from %s: %s", self._count, peer, type(what).__name__)
        self._count = 0
        self._quiet_until = time.monotonic() + MALFORMED_SECONDS


def harmless(text: str) -> str:
    """The text with escapes in place of all that could end a line, or tell a terminal something."""
    if text.isprintable():
        return text
    return _STINGS.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def _hidden(text: str) -> str:
    # The search costs more than all the rest of a line, and most lines have nothing of the kind.
    may_have = "nj_live_" in text or "://" in text or "?" in text
    return _SECRETS.sub("***", text) if may_have else text


def _named(record: logging.LogRecord) -> bool:
    """Every record knows its request, also where it is written by somebody else later."""
    record.request_id = request_id.current.get()
    return True


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What `extra={"fields": …}` says, and the request that the record was written in."""
    fields = dict(getattr(record, "fields", {}))
    if getattr(record, "request_id", None) is not None:
        fields["request_id"] = str(record.__dict__["request_id"])
    return fields


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info and not record.stack_info:
        return ""
    trace = formatter.formatException(record.exc_info) if record.exc_info else ""
    return "\n".join(filter(None, (trace, record.stack_info)))
