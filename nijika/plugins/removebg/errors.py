"""What goes wrong, in the form and with the codes of remove.bg.

Source: the OpenAPI document of remove.bg 1.0 (examples of 400, 402, 403, 429), and its answers as recorded by the
official Ruby client (remove-bg/ruby, spec/fixtures).
"""

import json
import re
from typing import NamedTuple

from aiohttp import web

from nijika.errors import Problem
from nijika.plugins.removebg.limits import count_from_epoch
from nijika.proxy.contract import Refusal


class Refused(Problem):
    """Something in the request is not valid, or not to be had here; `name` is remove.bg's own code for it."""

    status = 400
    code = "request-refused"
    title = "The request was not accepted"

    def __init__(self, name: str, heading: str, detail: str = "") -> None:
        super().__init__(detail or heading)
        self.name = name
        self.heading = heading


class Told(NamedTuple):
    """How a problem is told there."""

    status: int
    code: str
    title: str


_OURS = {
    "missing-key": Told(403, "auth_failed", "Missing API Key"),
    "invalid-key": Told(403, "auth_failed", "API Key invalid"),
    "account-suspended": Told(403, "auth_failed", "The account is suspended"),
    "key-out-of-scope": Told(403, "auth_failed", "The API Key is not allowed here"),
    "insufficient-credits": Told(402, "insufficient_credits", "Insufficient credits"),
    "key-spend-cap": Told(402, "insufficient_credits", "Insufficient credits"),
    "too-many-requests": Told(429, "rate_limit_exceeded", "Rate limit exceeded"),
    "body-too-large": Told(400, "file_too_large", "File too large"),
}

_WORKERS = {
    "not-an-image": ("invalid_file_type", "Invalid file type"),
    "truncated-image": ("failed_to_read_image", "There was an error reading the image."),
    "too-many-pixels": ("resolution_too_high", "Image resolution too high"),
    "body-too-large": ("file_too_large", "File too large"),
    "fetch-too-large": ("file_too_large", "File too large"),
    "bad-url": ("invalid_image_url", "Invalid image_url: Please provide a valid URL."),
    "private-address": ("invalid_image_url", "Invalid image_url: Please provide a valid URL."),
    "fetch-failed": ("failed_image_download", "Failed to download image from given image_url"),
    "no-image": ("missing_source", "No image given"),
    "no-foreground": ("unknown_foreground", "Could not identify foreground in image."),
}
"""The codes of nijika's own worker (docs/worker.md)."""

_OPTION = re.compile(r'[Oo]ption "([a-z_]+)"')


def render(request: web.Request, problem: Problem) -> web.Response:
    """The answer that tells of a problem, whichever link met it."""
    count_from_epoch(request)
    told = _told(problem)
    error = {"title": told.title, "code": told.code}
    if str(problem) != told.title:
        error["detail"] = str(problem)
    headers = {name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"}
    return web.Response(
        status=told.status,
        body=json.dumps({"errors": [error]}).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **headers},
    )


def _told(problem: Problem) -> Told:
    if isinstance(problem, Refused):
        return Told(problem.status, problem.name, problem.heading)
    return _OURS.get(problem.code) or Told(problem.status, problem.code.replace("-", "_"), problem.title)


def refused(refusal: Refusal, background: str) -> Refused:
    """What a worker's 4xx says, in remove.bg's words; `background` is the parameter that gave the picture for it."""
    if refusal.code in _WORKERS:
        return Refused(*_WORKERS[refusal.code], refusal.detail)
    if refusal.code == "bad-backdrop":
        return invalid(background, refusal.detail)
    option = _OPTION.search(refusal.detail)
    if option is not None:
        return invalid(background if option[1] == "bg_image" else option[1], refusal.detail)
    return Refused(refusal.code.replace("-", "_"), refusal.detail)


def invalid(name: str, detail: str = "") -> Refused:
    """A parameter that has no valid value, or none that can be had here."""
    return Refused(f"invalid_{name}", f"Invalid {name} parameter given", detail)
