"""Forms: each is a POST route that takes only what our own pages have sent."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from hmac import compare_digest

from aiohttp import hdrs, web
from multidict import MultiDict
from yarl import URL

from nijika import credits
from nijika.errors import BadForm, ForgedForm
from nijika.module import FREE, Route
from nijika.pages import cookie
from nijika.route import Who
from nijika.state import PUBLIC_URL

FORM_BYTES_MAX = 65_536

Form = MultiDict[str]
Answer = Callable[[web.Request, Form], Awaitable[web.StreamResponse]]


def post(path: str, answer: Answer, *, who: Who) -> Route:
    """The route of a form; `answer` is called with the fields once the form is known to be ours."""
    return Route(
        ("POST",),
        path,
        partial(_checked, answer),
        FREE,
        who=who,
        body_bytes_max=FORM_BYTES_MAX,
        content_types=("application/x-www-form-urlencoded",),
    )


async def _checked(answer: Answer, request: web.Request) -> web.StreamResponse:
    """The browser says which site sent the form (Origin), and the form carries the token of the visitor's cookie."""
    origin, own = request.headers.get(hdrs.ORIGIN), str(URL(request.app[PUBLIC_URL]).origin())
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if (origin is not None and origin != own) or site not in {"same-origin", "none"}:
        raise ForgedForm(f"This form was sent from another site than {own}. Nothing was changed; open that address.")
    fields = await _fields(request)
    sent, expected = fields.popone("token", ""), cookie.token(request)
    if not expected or not compare_digest(sent.encode("utf-8", "replace"), expected.encode()):
        raise ForgedForm
    return await answer(request, fields)


async def _fields(request: web.Request) -> Form:
    """Other charsets are not read: some decode to what no text of the database can hold."""
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise BadForm("The form is not text in UTF-8.")
    try:
        sent = await request.post()
    except ValueError:
        raise BadForm("The form is not text in UTF-8.") from None
    return MultiDict((key, value) for key, value in sent.items() if isinstance(value, str))


def text(fields: Form, name: str, *, label: str, characters_max: int = 100) -> str:
    """A line that was filled in; BadForm if there is none, or one that cannot be shown."""
    line = fields.get(name, "").strip()
    if not line or len(line) > characters_max or not line.isprintable():
        raise BadForm(f"{label} is a line of 1 to {characters_max} characters.")
    return line


def number(fields: Form, name: str, *, label: str, most: int) -> int | None:
    """A whole number from 1 to `most`, None if nothing was filled in; BadForm."""
    line = fields.get(name, "").strip()
    if not line:
        return None
    if re.fullmatch(r"[1-9][0-9]{0,8}", line, re.ASCII) is None or int(line) > most:
        raise BadForm(f"{label} is a whole number from 1 to {most}.")
    return int(line)


def amount(fields: Form, name: str, *, label: str) -> int | None:
    """Micro-credits, written as decimal text; None if nothing was filled in. BadForm."""
    line = fields.get(name, "").strip()
    try:
        return credits.parse(line) if line else None
    except ValueError as error:
        raise BadForm(f"{label} is not right: {error}.") from None


def back(path: str) -> web.Response:
    """What follows a form that was taken: the page that shows what it did, and that may be loaded again."""
    return web.Response(status=303, headers={hdrs.LOCATION: path, hdrs.CACHE_CONTROL: "no-store"})
