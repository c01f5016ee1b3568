"""What `/metrics` tells of the rooms behind a call: upstreams and their queues, remembered keys, webhooks."""

import asyncio
import base64
from collections.abc import Callable

import pytest

from nijika.store import deliveries
from nijika.webhooks import backlog, news
from nijika.webhooks.schedule import ATTEMPTS_MAX
from tests.browsing import SESSION_CHAIN, user_of
from tests.conftest import Start
from tests.gateway import ROUTES, Gateway, configuration
from tests.line import line_to
from tests.peers import answers, dead_ends, streams
from tests.peers.upstream import Upstream
from tests.proxy.behind import LONG, Answered, free, paid, places, table
from tests.scrape import Scrape, scrape
from tests.webhooks.conftest import HOOKS, PAGES, Holder
from tests.webhooks.receiver import receiving

METRICS = '[[routes]]\nuse = "metrics"\n'
GOOD = answers.answer(200, b"cut-out")


def measured(upstreams: str, *, chain: str | None = None, routes: str = "") -> str:
    routes = ROUTES + METRICS + routes
    return (
        configuration(upstreams, routes=routes)
        if chain is None
        else configuration(upstreams, chain=chain, routes=routes)
    )


async def until(gateway: Gateway, holds: Callable[[Scrape], bool]) -> Scrape:
    async with asyncio.timeout(15):
        while not holds(now := await scrape(gateway.session)):
            await asyncio.sleep(0.01)
    return now


async def test_calls_that_wait_for_room_are_seen_and_their_wait_is_not_the_gateways_time(
    start: Start, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, GOOD))
    async with start(measured(table("worker", upstream.url, settings="concurrency = 1"))) as gateway:
        before = await scrape(gateway.session)
        calls = [asyncio.create_task(free(gateway)) for _ in range(3)]
        during = await until(gateway, lambda now: now.value("nijika_upstream_waiting", upstream="worker") == 2)
        await asyncio.sleep(0.3)  # two wait at least this long, and one of them for nobody but the other
        gate.set()
        assert [answered.status for answered in await asyncio.gather(*calls)] == [200] * 3

        after = await until(gateway, lambda now: now.value("nijika_requests_total", route="/free/*") >= 3)

    whole, own = (after.since(before, f"nijika_{of}_seconds_sum", "route")["/free/*"] for of in ("request", "gateway"))
    assert during.value("nijika_upstream_in_flight", upstream="worker") == 1
    assert after.value("nijika_upstream_waiting") == 0
    assert whole - own >= 0.9


async def test_a_call_that_a_fallback_takes_is_one_of_both_and_told_by_their_names(
    start: Start, upstream: Upstream
) -> None:
    upstream.plan("*", GOOD)
    with dead_ends.closed_port() as nobody:
        tables = table("worker", nobody, settings=f'fallback = "spare"\nfailures_max = 1\n{LONG}')
        async with start(measured(tables + table("spare", upstream.url))) as gateway:
            customer = await gateway.customer()
            before = await scrape(gateway.session)
            answered: list[Answered] = [await paid(customer), await paid(customer)]
            after = await scrape(gateway.session)

    assert [each.status for each in answered] == [200, 200]
    assert after.since(before, "nijika_upstream_passed_on_total", "upstream", "fallback") == {("worker", "spare"): 2}
    calls = after.since(before, "nijika_upstream_calls_total", "upstream", "code")
    assert calls[("spare", "-")] == 2
    assert sum(count for (name, code), count in calls.items() if name == "worker" and code != "-") == 2
    assert after.since(before, "nijika_upstream_sent_bytes_total", "upstream") == {"spare": 2 * len(b"picture")}
    assert after.value("nijika_upstream_places", upstream="worker", state="resting") == 1
    assert after.value("nijika_upstream_places", upstream="spare", state="ok") == 1


async def test_a_body_that_is_translated_counts_as_it_is_sent_to_the_worker(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200, b"matte", [("Content-Type", "image/png")]))
    routes = '[[routes]]\nuse = "withoutbg"\nupstream = "worker"\nprice = "1"\n'
    async with start(measured(table("worker", upstream.url), routes=routes)) as gateway:
        customer = await gateway.customer()
        before = await scrape(gateway.session)
        told = {"image_base64": base64.b64encode(b"p" * 300).decode()}
        async with gateway.session.post("/v1.0/alpha-channel-base64", json=told, headers=customer.fields) as answer:
            assert answer.status == 200, await answer.text()

        after = await scrape(gateway.session)

    assert after.since(before, "nijika_upstream_sent_bytes_total", "upstream") == {"worker": 300}
    assert after.since(before, "nijika_upstream_received_bytes_total", "upstream") == {"worker": len(b"matte")}


async def test_an_address_on_trial_is_none_of_the_good_ones(start: Start, upstream: Upstream) -> None:
    async with start(
        measured(table("worker", upstream.url, settings="failures_max = 1\nrest_seconds = 0.05"))
    ) as gateway:
        (place,) = places(gateway)
        place.health.failed_checks("answers 500 to /health", 0.01, hangs=False)

        now = await until(gateway, lambda now: now.value("nijika_upstream_places", state="trial") == 1)

    assert now.value("nijika_upstream_places", upstream="worker", state="ok") == 0


async def test_keys_that_are_remembered_need_no_database_and_both_are_counted(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", GOOD)
    async with start(measured(table("worker", upstream.url))) as gateway:
        one, two = await gateway.customer(), await gateway.customer()
        before = await scrape(gateway.session)
        for customer in (one, two, one, one):
            assert (await paid(customer)).status == 200

        after = await scrape(gateway.session)

    assert after.since(before, "nijika_key_lookups_total", "outcome") == {"asked": 2, "remembered": 2}
    assert after.value("nijika_keys_remembered") == 2


async def test_that_revoked_keys_are_not_heard_of_is_seen_until_they_are_again(
    start: Start, database: str, upstream: Upstream
) -> None:
    async with line_to(database) as line:
        tables = f'[database]\nurl = "{database}"\npgbouncer = true\nlisten_url = "{line.url}"\n' + table(
            "worker", upstream.url
        )
        async with start(measured(tables)) as gateway:
            there = (await scrape(gateway.session)).value("nijika_key_listener_away")
            await line.cut()
            await until(gateway, lambda now: now.value("nijika_key_listener_away") == 1)
            line.mend()
            await until(gateway, lambda now: now.value("nijika_key_listener_away") == 0)

    assert there == 0


async def test_messages_to_webhooks_are_counted_by_what_became_of_them(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "LOOK_SECONDS", 0.05)
    text = measured(table("worker", upstream.url), chain=SESSION_CHAIN, routes=PAGES + HOOKS)
    async with start(text) as gateway, receiving() as receiver:
        customer = await gateway.customer()
        ada = Holder(customer, None, await user_of(customer))  # type: ignore[arg-type]  # no pages here
        webhook, _ = await ada.hook(receiver.url)
        receiver.answers(204, 500, 500)
        before = await scrape(gateway.session)

        for message in range(2):
            async with gateway.pool.acquire() as connection:
                await news.test(connection, customer.account, webhook)
            await ada.tried(1) if message == 0 else await until_tried(ada, 2)
        waits = await until(gateway, lambda now: now.value("nijika_webhook_waiting_messages") == 1)
        await gateway.pool.execute(
            "UPDATE webhook_deliveries SET attempts = $1, next_at = now() WHERE state = 'waiting'", ATTEMPTS_MAX - 1
        )
        await ada.ended(2)
        after = await until(gateway, lambda now: now.value("nijika_webhook_waiting_messages") == 0)

    assert waits.since(before, "nijika_webhook_attempts_total", "outcome") == {"delivered": 1, "retried": 1}
    assert after.since(before, "nijika_webhook_attempts_total", "outcome") == {
        "delivered": 1,
        "retried": 1,
        "given-up": 1,
    }


async def until_tried(ada: Holder, number: int) -> None:
    """So many deliveries were tried, and what came of it is written down."""
    async with asyncio.timeout(15):
        while sum(row["attempts"] > 0 and row["claim"] is None for row in await ada.deliveries()) < number:
            await asyncio.sleep(0.01)


async def test_a_backlog_is_counted_up_to_a_bound(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "BACKLOG_MAX", 3)
    async with start(measured(table("worker", upstream.url), chain=SESSION_CHAIN, routes=PAGES + HOOKS)) as gateway:
        customer = await gateway.customer()
        ada = Holder(customer, None, await user_of(customer))  # type: ignore[arg-type]  # no pages here
        webhook, _ = await ada.hook("http://127.0.0.1:9")
        for _ in range(5):
            async with gateway.pool.acquire() as connection:
                await news.test(connection, customer.account, webhook)

        assert await deliveries.backlog(gateway.pool) == 3
