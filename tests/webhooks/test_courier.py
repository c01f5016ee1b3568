"""Messages arrive at least once: retries from the table, shared by processes, and an end to what never arrives."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web

from nijika.state import COURIER
from nijika.store import attempts
from nijika.webhooks import news
from nijika.webhooks.schedule import ATTEMPTS_MAX, DELAYS, JITTER, delay
from tests.gateway import CHAIN, configuration, loaded, serving
from tests.webhooks.conftest import HOOKS, Holder
from tests.webhooks.receiver import Receiver

SENDER = """
import asyncio, sys, asyncpg
from ipaddress import ip_network
from nijika.store.vault import Vault
from nijika.webhooks.address import Addresses
from nijika.webhooks.courier import Courier
from nijika.webhooks.sender import Sender
from nijika.webhooks.signature import Seal
async def main():
    pool = await asyncpg.create_pool(sys.argv[1], min_size=1)
    async with Sender(Addresses([ip_network("127.0.0.0/8")]), timeout_seconds=1.5) as sender:
        await Courier(pool, sender, Seal(Vault([sys.argv[2]])), lease_seconds=0.5).run()
asyncio.run(main())
"""
SECRET = "a secret that is long enough for all tests"


async def tell(ada: Holder, webhook: int = 1) -> None:
    """Something to send, as a test's button makes it."""
    async with ada.gateway.pool.acquire() as connection:
        await news.test(connection, ada.customer.account, webhook)
    ada.gateway.app[COURIER].wake()


async def due(ada: Holder) -> None:
    """Time passes: what waits is tried now."""
    await ada.gateway.pool.execute(
        "UPDATE webhook_deliveries SET next_at = now() WHERE claim IS NULL AND next_at > now()"
    )
    ada.gateway.app[COURIER].wake()


def test_the_schedule_is_that_of_the_specification() -> None:
    waits = [delay(attempts, 0) for attempts in range(1, ATTEMPTS_MAX + 1)]

    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400, None]
    assert [delay(attempts, 1) for attempts in range(1, 10)] == [wait * (1 + JITTER) for wait in DELAYS]
    assert delay(11, 0) is None


def test_a_receiver_may_ask_for_more_time_but_not_for_less_nor_for_ever() -> None:
    assert delay(1, 0, retry_after=120) == 120
    assert delay(2, 0, retry_after=1) == 300
    assert delay(1, 0, retry_after=10**9) == 86_400
    assert delay(10, 0, retry_after=60) is None


async def test_what_fails_waits_by_the_schedule_and_arrives_in_the_end_under_the_same_id(
    ada: Holder, receiver: Receiver
) -> None:
    _, secret = await ada.hook(receiver.url)
    receiver.answers(500, 302, 429, 204, **{"Retry-After": "900"})
    await tell(ada)

    waits = []
    for number in (1, 2, 3):
        row = await ada.tried(number)
        waits.append((row["next_at"] - row["attempted_at"]).total_seconds())
        assert (row["state"], row["status"]) == ("waiting", (500, 302, 429)[number - 1])
        assert (await ada.stored())["failing_since"] is not None
        await due(ada)
    (row,) = await ada.ended()

    assert (row["state"], row["status"], row["attempts"], row["error"]) == ("delivered", 204, 4, None)
    assert row["milliseconds"] >= 0
    assert [900 <= wait < 1000 for wait in waits[:2]] == [True, True]  # as was asked for
    assert 1800 <= waits[2] < 2000
    assert len({got.id for got in receiver.got}) == len({got.body for got in receiver.got}) == 1
    assert all(got.verified(secret) for got in receiver.got)
    hook = await ada.stored()
    assert (hook["failing_since"], hook["stopped_at"]) == (None, None)
    assert hook["succeeded_at"] is not None


async def test_the_first_retry_comes_after_five_seconds_or_a_little_more(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url)
    receiver.answers(500)
    await tell(ada)

    row = await ada.tried(1)

    assert timedelta(seconds=5) <= row["next_at"] - row["attempted_at"] < timedelta(seconds=15)


async def test_after_the_last_attempt_it_is_over_and_a_webhook_that_never_answered_well_is_stopped(
    ada: Holder, receiver: Receiver
) -> None:
    await ada.hook(receiver.url)
    receiver.answers(500)
    await tell(ada)
    await ada.tried(1)
    await ada.gateway.pool.execute("UPDATE webhook_deliveries SET attempts = $1", ATTEMPTS_MAX - 1)
    await due(ada)

    (row,) = await ada.ended()

    assert (row["state"], row["attempts"], row["next_at"]) == ("failed", ATTEMPTS_MAX, None)
    assert (await ada.stored())["stopped_by"] == "failing"
    page = (await ada.browser.page("/dashboard/webhooks")).text
    assert "stopped: nothing arrived" in page
    assert "The server answered 500." in page
    assert "Messages to a server of yours do not arrive" in (await ada.browser.page("/dashboard")).text
    await ada.pay("1")
    assert len(await ada.deliveries()) == 1


async def test_one_that_answered_others_well_meanwhile_is_not_stopped(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url)
    receiver.answers(500, 204, 500)
    await tell(ada)
    await ada.tried(1)
    await tell(ada)
    await ada.ended()
    await ada.gateway.pool.execute(
        "UPDATE webhook_deliveries SET attempts = $1 WHERE state = 'waiting'", ATTEMPTS_MAX - 1
    )
    await due(ada)

    rows = await ada.ended(2)

    assert [row["state"] for row in rows] == ["failed", "delivered"]
    assert (await ada.stored())["stopped_at"] is None


async def test_410_stops_the_webhook_at_once_with_all_that_waits(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url)
    receiver.answers(500, 410)
    await tell(ada)
    await ada.tried(1)
    await tell(ada)

    rows = await ada.ended(2)

    assert [(row["state"], row["status"]) for row in rows] == [("failed", 500), ("failed", 410)]
    assert rows[0]["error"] == "The webhook was stopped before it arrived."
    assert (await ada.stored())["stopped_by"] == "gone"
    assert "stopped: 410 Gone" in (await ada.browser.page("/dashboard/webhooks")).text
    assert len(receiver.got) == 2


async def test_two_gateways_share_the_work_and_send_nothing_twice(
    ada: Holder, receiver: Receiver, database: str, tmp_path: Path
) -> None:
    hooks = [await ada.hook(f"{receiver.url}/{number}") for number in range(12)]
    text = configuration("", chain='[[middlewares]]\nuse = "session"\n' + CHAIN, routes=HOOKS)
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(serving(loaded(tmp_path, text), database)) for _ in range(2)]
        async with ada.gateway.pool.acquire() as connection, connection.transaction():
            for webhook, _ in hooks:
                for _ in range(5):
                    await news.test(connection, ada.customer.account, webhook)
        for gateway in (ada.gateway, *others):
            gateway.app[COURIER].wake()

        rows = await ada.ended(60)

    assert len(receiver.got) == len({got.id for got in receiver.got}) == 60
    assert {(row["state"], row["attempts"]) for row in rows} == {("delivered", 1)}


async def test_what_another_process_is_just_claiming_is_left_to_it(ada: Holder, receiver: Receiver) -> None:
    """Of each webhook one message, and none of the one that the other has begun with."""
    pool = ada.gateway.pool
    await _stopped(ada)
    for number in range(3):
        await ada.hook(f"{receiver.url}/{number}")
    await pool.execute(
        """INSERT INTO webhook_deliveries (webhook, message, event, data, next_at)
           SELECT w.id, gen_random_uuid(), 'webhook.test', '{}', now() FROM webhooks w, generate_series(1, 2)"""
    )

    async with pool.acquire() as connection, connection.transaction():
        theirs = await connection.fetch(attempts._CLAIM, 1, 60.0)
        ours = await attempts.begin(pool, 10, lease_seconds=60)
    late = await attempts.begin(pool, 10, lease_seconds=60)

    assert [row["webhook"] for row in theirs] == [1]
    assert sorted(each.webhook for each in ours) == [2, 3]
    assert late == []


async def test_what_a_killed_process_was_sending_is_sent_by_another_when_its_lease_is_over(
    ada: Holder, receiver: Receiver, database: str
) -> None:
    _, secret = await ada.hook(receiver.url)
    asked = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.sleep(60)
        return web.Response()

    receiver.answer = hang
    await _stopped(ada)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER, database, SECRET)
    async with ada.gateway.pool.acquire() as connection:
        await news.test(connection, ada.customer.account, 1)
    async with asyncio.timeout(20):
        await asked.wait()
    process.send_signal(signal.SIGKILL)
    await process.wait()

    assert await attempts.begin(ada.gateway.pool, 10, lease_seconds=60) == []
    receiver.answers(204)
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER, database, SECRET)
    (row,) = await ada.ended()
    other.kill()
    await other.wait()

    assert (row["state"], row["attempts"]) == ("delivered", 2)
    assert len({got.id for got in receiver.got}) == 1
    assert [got.verified(secret)["type"] for got in receiver.got] == ["webhook.test"] * 2


async def _stopped(ada: Holder) -> None:
    """This gateway itself sends nothing any more."""
    for task in asyncio.all_tasks():
        if "Courier.run" in str(task.get_coro()):
            task.cancel()
            await asyncio.wait([task])


async def test_who_wakes_up_after_its_lease_does_not_undo_what_others_wrote(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url)
    await _stopped(ada)
    async with ada.gateway.pool.acquire() as connection:
        await news.test(connection, ada.customer.account, 1)
        (late,) = await attempts.begin(ada.gateway.pool, 1, lease_seconds=0)
        (timely,) = await attempts.begin(ada.gateway.pool, 1, lease_seconds=60)
        first = await attempts.end(connection, timely, attempts.Answer(5, 204), "delivered", None)
        second = await attempts.end(connection, late, attempts.Answer(9, None, "late"), "waiting", 5)

    (row,) = await ada.deliveries()
    assert (first, second) == (True, False)
    assert (row["state"], row["status"]) == ("delivered", 204)


async def test_a_gateway_that_ends_leaves_what_it_was_sending_to_others_at_once(
    ada: Holder, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nijika.webhooks.courier.GRACE_SECONDS", 0.05)
    await ada.hook(receiver.url)
    receiver.answer = lambda _: asyncio.sleep(60, web.Response())
    await tell(ada)
    await receiver.count(1)

    await ada.gateway.app[COURIER].close()

    (row,) = await ada.deliveries()
    assert (row["state"], row["claim"]) == ("waiting", None)
    assert await ada.gateway.pool.fetchval("SELECT next_at <= now() FROM webhook_deliveries")


async def test_a_slow_receiver_holds_up_nobody_else_and_gets_one_message_at_a_time(
    ada: Holder, receiver: Receiver, bob: Holder
) -> None:
    await ada.hook(f"{receiver.url}/slow")
    await bob.hook(f"{receiver.url}/quick")
    slow: list[asyncio.Event] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("slow"):
            slow.append(asyncio.Event())
            await slow[-1].wait()
        return web.Response()

    receiver.answer = answer
    for _ in range(3):
        await tell(ada)
    await receiver.count(1)
    for _ in range(5):
        await tell(bob, 2)

    await ada.ended(5)  # those of Bob

    assert len(slow) == 1
    for number in range(3):
        async with asyncio.timeout(10):
            while len(slow) <= number:
                await asyncio.sleep(0.01)
        slow[number].set()
    assert {row["state"] for row in await ada.ended(8)} == {"delivered"}


async def test_a_secret_that_cannot_be_read_any_more_is_told(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url)
    await ada.gateway.pool.execute("UPDATE webhooks SET sealed = 'gone'")
    await tell(ada)

    assert (await ada.tried(1))["error"] == "The secret cannot be read any more. Rotate it."
    assert receiver.got == []


async def test_a_mistake_of_our_own_is_an_attempt_and_not_tried_without_end(
    ada: Holder, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    courier = ada.gateway.app[COURIER]
    monkeypatch.setattr(courier._sender, "send", lambda *_: 1 / 0)
    await ada.hook(receiver.url)
    await tell(ada)

    first = await ada.tried(1)

    assert first["error"] == "It could not be sent, for a reason of our own."
    assert timedelta(seconds=5) <= first["next_at"] - first["attempted_at"] < timedelta(seconds=30)


async def test_a_database_that_is_away_ends_no_courier(
    ada: Holder, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nijika.webhooks.courier.OUTAGE_SECONDS", 0.05)
    real, failures = attempts.begin, [asyncpg.CannotConnectNowError("starting up"), ValueError("a slip")]

    async def begin(*arguments: object, **more: object) -> object:
        if failures:
            raise failures.pop(0)
        return await real(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("nijika.webhooks.courier.attempts.begin", begin)
    await ada.hook(receiver.url)
    await tell(ada)

    await receiver.count(1)

    assert "no webhooks are sent: starting up" in caplog.text
