"""The worker's answer with remove.bg's fields, as it is or as JSON with the picture in base64."""

import json

from multidict import CIMultiDict

from nijika.errors import Problem
from nijika.plugins.removebg.errors import refused
from nijika.plugins.removebg.writer import Writer
from nijika.proxy.answer import Answer
from nijika.proxy.contract import Refusal
from nijika.proxy.encoded import Encoded

FOREGROUND = ("top", "left", "width", "height")


class Results:
    """What the worker makes of the order that `writer` passes on, told as remove.bg tells it."""

    kinds: tuple[str, ...] = "image/", "application/zip"

    def __init__(self, writer: Writer, *, is_json: bool) -> None:
        self._writer = writer
        self._is_json = is_json

    def dress(self, answer: Answer) -> Answer:
        """The picture, or JSON with it; the type of the foreground is told, though nobody has looked for it."""
        head, tail = b'{"data":{"result_b64":"', b'"' + _foreground(answer) + b"}}"
        made = Encoded(answer, head, tail) if self._is_json else _Picture(answer)
        if self._writer.order.names_type:
            made.headers["X-Type"] = "other"
        return made

    def refuse(self, refusal: Refusal) -> Problem:
        """With their codes."""
        return refused(refusal, self._writer.order.background)


class _Picture:
    """The worker's `answer` as it is, but for `headers`."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.url = answer.url
        self.headers = CIMultiDict(answer.headers)
        self.content = answer.content


def _foreground(answer: Answer) -> bytes:
    """Where the foreground lies, as far as the worker tells."""
    told = {side: answer.headers.get(f"X-Foreground-{side.capitalize()}", "") for side in FOREGROUND}
    members = (f",{json.dumps(f'foreground_{side}')}:{int(value)}" for side, value in told.items() if value.isdecimal())
    return "".join(members).encode()
