"""The worker's answer with remove.bg's fields, as it is or as JSON with the picture in base64."""

import json

import aiohttp
from multidict import CIMultiDict

from nijika.proxy.encoded import Encoded
from nijika.proxy.relay import Answer

FOREGROUND = ("top", "left", "width", "height")


class Picture:
    """The worker's `answer` as it is, but for `headers`."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.status = answer.status
        self.url = answer.url
        self.headers = CIMultiDict(answer.headers)
        self.content = answer.content


def result(answer: aiohttp.ClientResponse, *, names_type: bool, is_json: bool) -> Answer:
    """What stands for a success; `names_type` tells the type of the foreground, though nobody has looked for it."""
    made = (
        Encoded(answer, b'{"data":{"result_b64":"', b'"' + _foreground(answer) + b"}}") if is_json else Picture(answer)
    )
    if names_type:
        made.headers["X-Type"] = "other"
    return made


def _foreground(answer: aiohttp.ClientResponse) -> bytes:
    """Where the foreground lies, as far as the worker tells."""
    told = {side: answer.headers.get(f"X-Foreground-{side.capitalize()}", "") for side in FOREGROUND}
    members = (f",{json.dumps(f'foreground_{side}')}:{int(value)}" for side, value in told.items() if value.isdecimal())
    return "".join(members).encode()
