"""The account's webhooks: add, change, test, stop and remove them, and show and rotate their secrets."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import asyncpg
from aiohttp import web

from nijika.database import Connection, connected
from nijika.errors import BadForm, NotFound, NotSignedIn
from nijika.module import Route
from nijika.pages import cookie, form, words
from nijika.pages.form import Form
from nijika.plugins.webhooks.page import OVERLAPS, PATH, Wrong, allowed, lowest_price, shown
from nijika.state import COURIER, MATCH, POOL, ROUTES, VAULT, VISITOR
from nijika.store import audit, deliveries, thresholds, usage, users, webhooks
from nijika.webhooks import news
from nijika.webhooks.address import BadAddress
from nijika.webhooks.signature import Seal

WEBHOOKS_MAX = 5
TESTS_WAITING_MAX = 3
TESTS_PER_HOUR_MAX = 30


def routes() -> Iterable[Route]:
    """A form for each thing that can be done."""
    yield form.post(PATH, allowed(_add), who="user")
    for name, answer in (("reveal", _reveal), ("rotate", _rotate), *DEEDS.items()):
        yield form.post(f"{PATH}/{{id}}/{name}", answer, who="user")
    for name, answer in (("change", _change), ("test", _test), ("resume", _resume)):
        yield form.post(f"{PATH}/{{id}}/{name}", allowed(answer), who="user")


async def _add(request: web.Request, fields: Form) -> web.StreamResponse:
    """A mistake shows the form again, as it was filled in."""
    visitor = request[VISITOR]
    try:
        url, events = await _filled_in(request, fields)
    except BadForm as mistake:
        return await shown(request, status=mistake.status, wrong=Wrong("add", str(mistake), fields))
    async with connected(request.app[POOL]) as connection, connection.transaction():
        await _check_room(connection, request)
        webhook = await webhooks.add(
            connection, account=visitor.account, url=url, events=events, sealed=Seal(request.app[VAULT]).make()
        )
        lowest = lowest_price(request.app[ROUTES])
        if lowest is not None:
            await thresholds.put(connection, visitor.account, thresholds.EXHAUSTED, [lowest])
        await _note(connection, request, "webhook added", webhook)
    await cookie.leave_notice(request, "The webhook is added. Take its secret to your server, and send a test.")
    return form.back(PATH)


async def _change(request: web.Request, fields: Form) -> web.StreamResponse:
    try:
        url, events = await _filled_in(request, fields)
    except BadForm as mistake:
        name = f"change-{request[MATCH].variables['id']}"
        return await shown(request, status=mistake.status, wrong=Wrong(name, str(mistake), fields))
    async with connected(request.app[POOL]) as connection, connection.transaction():
        row = await _own(connection, request)
        await webhooks.change(connection, row["id"], url=url, events=events)
        await _note(connection, request, "webhook changed", row["id"])
    await cookie.leave_notice(request, "The webhook is changed.")
    return form.back(PATH)


async def _reveal(request: web.Request, _: Form) -> web.StreamResponse:
    async with connected(request.app[POOL]) as connection, connection.transaction():
        row = await _own(connection, request)
        if Seal(request.app[VAULT]).open(row["sealed"]) is None:
            raise BadForm("This secret cannot be shown any more. Rotate it.")
    return await shown(request, revealed=row["id"])


async def _rotate(request: web.Request, fields: Form) -> web.StreamResponse:
    """Messages are signed with both secrets for the overlap, so that the receiver may change when it likes."""
    overlap = fields.get("overlap", "")
    if overlap not in OVERLAPS:
        raise BadForm("Choose when the old secret ends.")
    async with connected(request.app[POOL]) as connection, connection.transaction():
        row = await _own(connection, request)
        sealed = Seal(request.app[VAULT]).make()
        await webhooks.rotate(connection, row["id"], sealed, overlap_hours=int(overlap))
        await _note(connection, request, "webhook secret rotated", row["id"])
    await cookie.leave_notice(request, f"There is a new secret. The old one ends {OVERLAPS[overlap]}.")
    return form.back(PATH)


async def _test(request: web.Request, _: Form) -> web.StreamResponse:
    visitor = request[VISITOR]
    async with connected(request.app[POOL]) as connection, connection.transaction():
        row = await _own(connection, request)
        if row["stopped_at"] is not None:
            raise BadForm("This webhook is stopped. Resume it first.")
        if await deliveries.waiting(connection, row["id"], news.TEST) >= TESTS_WAITING_MAX:
            raise BadForm("Tests are waiting to be sent there already. See below what came of them.")
        if await deliveries.lately(connection, visitor.account, news.TEST) >= TESTS_PER_HOUR_MAX:
            raise BadForm(f"An account has at most {TESTS_PER_HOUR_MAX} tests sent in an hour. Send another one later.")
        await news.test(connection, visitor.account, row["id"])
    request.app[COURIER].wake()
    await cookie.leave_notice(request, "The test is on its way. Load the page again to see what came of it.")
    return form.back(f"{PATH}#sent")


async def _done(
    deed: Callable[[Connection, int], Awaitable[None]], action: str, said: str, request: web.Request, _: Form
) -> web.StreamResponse:
    async with connected(request.app[POOL]) as connection, connection.transaction():
        row = await _own(connection, request)
        await deed(connection, row["id"])
        await _note(connection, request, action, row["id"])
    await cookie.leave_notice(request, said)
    return form.back(PATH)


async def _own(connection: Connection, request: web.Request) -> asyncpg.Record:
    """The webhook that the path names, of this account; whoever asks for another's learns nothing."""
    number = words.row_number(request[MATCH].variables["id"])
    row = None if number is None else await webhooks.one(connection, request[VISITOR].account, number)
    if row is None:
        raise NotFound
    return row


async def _filled_in(request: web.Request, fields: Form) -> tuple[str, list[str]]:
    """The address, which is looked up here and again whenever something is sent, and the events."""
    events = fields.getall("event", [])
    if not events or set(events) - set(news.EVENTS):
        raise BadForm("Choose at least one event.")
    try:
        url = await request.app[COURIER].addresses.check(fields.get("url", "").strip(), request[VISITOR].account)
    except BadAddress as mistake:
        raise BadForm(str(mistake)) from None
    return str(url), list(dict.fromkeys(events))


async def _check_room(connection: Connection, request: web.Request) -> None:
    """The account is there, and stays so until the webhook is added; and it has not too many."""
    visitor = request[VISITOR]
    if not await users.stays(connection, visitor.user):
        raise NotSignedIn
    await usage.locked(connection, visitor.account)
    if len(await webhooks.of_account(connection, visitor.account)) >= WEBHOOKS_MAX:
        raise BadForm(f"An account has at most {WEBHOOKS_MAX} webhooks.")


async def _note(connection: Connection, request: web.Request, action: str, webhook: int) -> None:
    """By number: an address may hold a token, and what stands in the audit table stays there."""
    user = request[VISITOR].user
    await audit.note(connection, action, actor=user, subject=user, after={"webhook": webhook})


_resume = partial(_done, webhooks.resume, "webhook resumed", "What happens from now on is sent there again.")

DEEDS: dict[str, form.Answer] = {
    "stop": partial(_done, partial(webhooks.stop, by="holder"), "webhook stopped", "Nothing is sent there any more."),
    "remove": partial(_done, webhooks.remove, "webhook removed", "The webhook is removed."),
}
