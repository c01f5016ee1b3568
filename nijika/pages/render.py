"""Templates become answers: escaped, framed by nobody, and with nothing from elsewhere."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import aiohttp_jinja2
import jinja2
from aiohttp import hdrs, web

from nijika import credits
from nijika.errors import NotSignedIn, Problem
from nijika.pages import cookie, reasons, static
from nijika.state import PATH, REQUEST_ID, ROUTES, VISITOR

NEVER = "never"


SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With no-referrer a browser would not say in Origin where a form comes from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def setup(app: web.Application) -> None:
    """Load the templates; every value in them is escaped, and an unknown one is an error."""
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(static.folder("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        filters=FILTERS,
    )


def page(request: web.Request, template: str, *, status: int = 200, **values: object) -> web.Response:
    """A page of `template`."""
    context: Mapping[str, object] = {
        "visitor": request.get(VISITOR),
        "here": request.get(PATH, ""),
        "paths": {route.path for route in request.app[ROUTES]},
        "notice": cookie.take_notice(request),
        "token": lambda: cookie.token(request),
        "static": static.address,
        **values,
    }
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers.update(SECURITY)
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response


def problem(request: web.Request, problem: Problem) -> web.Response:
    """The page that tells a person what went wrong, and what to do."""
    answer = page(
        request,
        "problem.html",
        status=problem.status,
        problem=problem,
        request_id=request[REQUEST_ID],
        asks_to_sign_in=isinstance(problem, NotSignedIn),
    )
    answer.headers.update(problem.headers)
    if problem.closes:
        answer.force_close()
    return answer


def wants_page(request: web.Request) -> bool:
    """Whether the caller is a browser that shows what it gets: its Accept names text/html before JSON."""
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get(hdrs.ACCEPT, "").split(",")]
    return "text/html" in accepted and "application/json" not in accepted[: accepted.index("text/html")]


def amount(micro: int) -> str:
    """Credits as people read them: grouped, and no longer than they must be."""
    whole, _, fraction = credits.show(micro).partition(".")
    grouped = f"{int(whole):,}".replace(",", "\u202f")
    sign = "-" if micro < 0 and not grouped.startswith("-") else ""
    return f"{sign}{grouped}.{fraction}" if fraction else f"{sign}{grouped}"


def day(when: datetime | None) -> str:
    """A day in UTC."""
    return NEVER if when is None else when.astimezone(UTC).strftime("%-d %b %Y")


def moment(when: datetime | None) -> str:
    """A moment in UTC, to the minute."""
    return NEVER if when is None else when.astimezone(UTC).strftime("%-d %b %Y, %H:%M UTC")


def iso(when: datetime | None) -> str:
    """For the attribute that machines read."""
    return "" if when is None else when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def provider(name: str) -> str:
    """A provider's name as it writes it itself."""
    return {"github": "GitHub", "gitlab": "GitLab"}.get(name, name)


FILTERS: dict[str, Callable[..., str]] = {
    "credits": amount,
    "decimal": credits.show,
    "day": day,
    "moment": moment,
    "iso": iso,
    "reason": reasons.sentence,
    "provider": provider,
}
"""What templates call to show values."""
