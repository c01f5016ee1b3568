"""The page of webhooks: added, tested, changed, rotated, stopped and removed by their holder, and by nobody else."""

import re
from typing import Any

import pytest

from nijika.state import COURIER
from nijika.store import attempts, deliveries
from tests.browsing import browser, person
from tests.webhooks.conftest import EVENTS, Holder
from tests.webhooks.receiver import Receiver

PATH = "/dashboard/webhooks"


def filled(url: str, events: list[str] | None = None) -> list[tuple[str, str]]:
    return [("url", url), *(("event", event) for event in (EVENTS if events is None else events))]


async def _secret(ada: Holder, webhook: int = 1) -> str:
    page = await ada.browser.send(f"{PATH}/{webhook}/reveal")
    found = re.search(r"whsec_[A-Za-z0-9+/]{43}=", page.text.replace("&#43;", "+"))
    assert found is not None, page.text
    return found[0]


async def test_a_webhook_is_added_and_its_test_arrives_and_verifies(ada: Holder, receiver: Receiver) -> None:
    added = await ada.browser.send(PATH, filled(receiver.url))
    secret = await _secret(ada)
    await ada.browser.send(f"{PATH}/1/test")

    (got,) = await receiver.count(1)
    await ada.ended()
    page = (await ada.browser.page(PATH)).text
    assert added.status == 303
    told = got.verified(secret)
    assert (told["type"], told["data"]) == (
        "webhook.test",
        {"account": ada.customer.account, "available": "100", "held": "0"},
    )
    assert re.fullmatch(r"msg_[0-9a-f]{32}", got.id)
    assert got.headers["Content-Type"] == "application/json"
    assert secret not in page
    assert all(text in page for text in (receiver.url, "works", "arrived", got.id, "204 after"))


async def _hooks(ada: Holder) -> list[dict[str, Any]]:
    return [dict(row) for row in await ada.gateway.pool.fetch("SELECT * FROM webhooks ORDER BY id")]


MISTAKES = [
    (filled(""), "The address is empty"),
    (filled("http://8.8.8.8/"), "not on the public internet"),
    (filled("https://user:secret@example.com/"), "must not carry a user name"),
    (filled("https://169.254.169.254/latest"), "not on the public internet"),
    (filled("https://localhost.invalid/"), "cannot be looked up"),
    (filled("ftp://example.com/"), "must begin with https"),
    (filled("https://8.8.8.8/", []), "Choose at least one event"),
    (filled("https://8.8.8.8/", ["balance.high"]), "Choose at least one event"),
]


async def test_a_mistake_shows_the_form_again_with_a_sentence_and_what_was_filled_in(ada: Holder) -> None:
    await ada.hook("https://8.8.4.4/kept")

    for form, sentence in MISTAKES:
        for path in (PATH, f"{PATH}/1/change"):
            page = await ada.browser.send(path, form)

            assert page.status == 422
            assert sentence in page.text
            assert f'value="{form[0][1]}"' in page.text
    assert [hook["url"] for hook in await _hooks(ada)] == ["https://8.8.4.4/kept"]


async def test_a_secret_is_masked_until_its_holder_asks_for_it_and_sealed_in_the_database(ada: Holder) -> None:
    _, secret = await ada.hook("https://8.8.8.8/")

    masked = await ada.browser.page(PATH)
    revealed = await ada.browser.send(f"{PATH}/1/reveal")

    assert secret not in masked.text
    assert await _secret(ada) == secret
    assert revealed.headers["Cache-Control"] == "no-store"
    assert secret.encode() not in (await _hooks(ada))[0]["sealed"]


async def test_rotating_signs_with_both_secrets_until_the_old_one_ends(ada: Holder, receiver: Receiver) -> None:
    _, old = await ada.hook(receiver.url)
    await ada.browser.send(f"{PATH}/1/rotate", {"overlap": "24"})
    new = await _secret(ada)
    await ada.browser.send(f"{PATH}/1/test")
    (both,) = await receiver.count(1)
    await ada.gateway.pool.execute("UPDATE webhooks SET former_until = now()")
    await ada.browser.send(f"{PATH}/1/test")
    _, later = await receiver.count(2)

    assert new != old
    assert both.verified(old) == both.verified(new)
    assert later.verified(new)
    assert " " not in later.headers["webhook-signature"]
    await ada.browser.send(f"{PATH}/1/rotate", {"overlap": "0"})
    assert (await _hooks(ada))[0]["former_sealed"] is None


async def test_a_webhook_is_changed_stopped_resumed_and_removed(ada: Holder, receiver: Receiver) -> None:
    await ada.hook("https://8.8.8.8/")

    await ada.browser.send(f"{PATH}/1/change", filled(receiver.url, ["credits.granted"]))
    await ada.pay("1")
    await receiver.count(1)
    await ada.browser.send(f"{PATH}/1/stop")
    refused = await ada.browser.send(f"{PATH}/1/test")
    await ada.pay("1")
    stopped = (await ada.browser.page(PATH)).text
    await ada.browser.send(f"{PATH}/1/resume")
    await ada.pay("1")
    await receiver.count(2)
    await ada.browser.send(f"{PATH}/1/remove")

    assert refused.status == 422
    assert "Resume" in stopped
    assert [got.json["data"]["available"] for got in receiver.got] == ["101", "103"]
    assert await _hooks(ada) == await ada.deliveries() == []
    page = (await ada.browser.page("/dashboard/account")).text
    actions = ("webhook changed", "webhook stopped", "webhook resumed", "webhook removed")
    assert all(action in page for action in actions)
    assert receiver.url not in page


async def test_thresholds_are_set_shown_and_refused_with_a_sentence(ada: Holder) -> None:
    form = [("amount", text) for text in ("10", "", "2.50", "10", "500")]
    await ada.browser.send(f"{PATH}/thresholds", form)
    page = (await ada.browser.follow(PATH)).text
    mistakes = {
        text: await ada.browser.send(f"{PATH}/thresholds", [("amount", text), ("amount", "77")])
        for text in ("1,5", "-1", "0", "1e3", "0.0000001", "9" * 30)
    }
    many = await ada.browser.send(f"{PATH}/thresholds", [("amount", str(n)) for n in range(1, 7)])

    assert [text in page for text in ('value="10"', 'value="2.5"', 'value="500"', "below it now")] == [True] * 4
    assert {answer.status for answer in (*mistakes.values(), many)} == {422}
    assert all('value="77"' in answer.text and "threshold" in answer.text for answer in mistakes.values())
    rows = await ada.gateway.pool.fetch("SELECT amount, armed FROM webhook_thresholds ORDER BY amount")
    assert [tuple(row) for row in rows] == [(2_500_000, True), (10_000_000, True), (500_000_000, False)]
    await ada.browser.send(f"{PATH}/thresholds")
    assert await ada.gateway.pool.fetchval("SELECT count(*) FROM webhook_thresholds") == 0


async def test_adding_a_webhook_watches_for_the_end_of_the_credit(ada: Holder, receiver: Receiver) -> None:
    await ada.browser.send(PATH, filled(receiver.url))

    row = await ada.gateway.pool.fetchrow("SELECT event, amount, armed FROM webhook_thresholds")
    assert tuple(row) == ("balance.exhausted", 1_000_000, True)


async def test_what_failed_is_sent_again_by_hand_and_what_waits_at_once(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url)
    receiver.answers(500, 204)
    await ada.browser.send(f"{PATH}/1/test")
    await ada.tried(1)
    waits = (await ada.browser.page(PATH)).text
    await ada.browser.send(f"{PATH}/sent/1/again")
    (row,) = await ada.ended()
    await ada.browser.send(f"{PATH}/sent/1/again")
    await receiver.count(3)

    assert [text in waits for text in ("Send now", "next at", "The server answered 500.", "fails since")] == [True] * 4
    assert (row["state"], row["attempts"]) == ("delivered", 2)
    assert len({got.id for got in receiver.got}) == 1
    await ada.browser.send(f"{PATH}/1/stop")
    assert (await ada.browser.send(f"{PATH}/sent/1/again")).status == 422


async def test_tests_do_not_pile_up(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url)
    receiver.answers(500)

    statuses = []
    for number in range(4):
        statuses.append((await ada.browser.send(f"{PATH}/1/test")).status)
        await receiver.count(min(number + 1, 3))

    assert statuses == [303, 303, 303, 422]


async def test_an_account_has_so_many_tests_in_an_hour_whether_they_arrive_or_not(
    ada: Holder, receiver: Receiver
) -> None:
    pool = ada.gateway.pool
    for _ in range(2):
        await ada.hook(receiver.url)
    await pool.execute(
        """INSERT INTO webhook_deliveries (webhook, message, event, data, state, next_at)
           SELECT 2, gen_random_uuid(), 'webhook.test', '{}', 'delivered', NULL FROM generate_series(1, 30)"""
    )

    too_many = await ada.browser.send(f"{PATH}/1/test")
    await pool.execute("UPDATE webhook_deliveries SET happened_at = now() - interval '1 hour' WHERE id = 1")
    one_more = await ada.browser.send(f"{PATH}/1/test")

    assert (too_many.status, one_more.status) == (422, 303)
    assert len(await ada.deliveries()) == 31


async def test_nobody_reaches_the_webhook_of_another_account(ada: Holder, bob: Holder) -> None:
    _, secret = await ada.hook("https://8.8.8.8/private-token")
    await ada.gateway.pool.execute("UPDATE webhooks SET stopped_at = now(), stopped_by = 'holder'")
    await ada.gateway.pool.execute(
        "INSERT INTO webhook_deliveries (webhook, message, event, data) VALUES (1, gen_random_uuid(), 'x', '{}')"
    )
    before = await _hooks(ada), await ada.deliveries()
    names = ("change", "reveal", "rotate", "test", "stop", "resume", "remove")

    paths = [f"{number}/{name}" for number in ("1", "99", "0", "x", "1" * 30) for name in names]
    form = [*filled("https://8.8.8.8/"), ("overlap", "0")]
    statuses = {path: (await bob.browser.send(f"{PATH}/{path}", form)).status for path in paths}
    statuses["again"] = (await bob.browser.send(f"{PATH}/sent/1/again")).status
    page = (await bob.browser.page(PATH)).text

    assert set(statuses.values()) == {404}
    assert (await _hooks(ada), await ada.deliveries()) == before
    assert "private-token" not in page
    assert secret not in page


async def test_a_form_from_elsewhere_changes_nothing(ada: Holder) -> None:
    await ada.hook("https://8.8.8.8/")
    before = await _hooks(ada)
    names = ("1/change", "1/reveal", "1/rotate", "1/test", "1/stop", "1/remove", "thresholds", "sent/1/again", "")
    form = [*filled("https://8.8.4.4/"), ("overlap", "0"), ("amount", "5")]

    statuses = set()
    for name in names:
        path = f"{PATH}/{name}".rstrip("/")
        statuses.add((await ada.browser.send(path, form, token="forged")).status)
        statuses.add((await ada.browser.send(path, form, token=None)).status)
        statuses.add((await ada.browser.send(path, form, origin="https://evil.example")).status)

    assert statuses == {403}
    assert await _hooks(ada) == before
    assert await ada.deliveries() == []
    async with browser(ada.gateway) as stranger:
        assert (await stranger.page(PATH)).status == 303
        assert (await stranger.send(PATH, form)).status in {303, 401}


async def test_an_account_has_so_many_webhooks_and_no_more(ada: Holder, receiver: Receiver) -> None:
    statuses = [(await ada.browser.send(PATH, filled(receiver.url))).status for _ in range(6)]

    assert statuses == [303] * 5 + [422]
    assert len(await _hooks(ada)) == 5


async def test_a_suspended_account_adds_no_webhook(ada: Holder, receiver: Receiver) -> None:
    await ada.gateway.pool.execute("UPDATE accounts SET suspended_at = now()")

    assert (await ada.browser.send(PATH, filled(receiver.url))).status == 403
    assert await _hooks(ada) == []


async def test_a_suspended_account_has_nothing_sent_until_it_is_let_in_again(ada: Holder, receiver: Receiver) -> None:
    pool = ada.gateway.pool
    await ada.hook(receiver.url)
    await ada.hook("https://8.8.8.8/", events=[])
    await ada.browser.send(f"{PATH}/1/test")
    await ada.ended(1)
    await pool.execute("UPDATE accounts SET suspended_at = now()")
    event = ("event", "credits.granted")

    forms: dict[str, list[tuple[str, str]]] = {
        "1/test": [],
        "1/change": [("url", receiver.url + "/other"), event],
        "1/resume": [],
        "sent/1/again": [],
    }
    statuses = {name: (await ada.browser.send(f"{PATH}/{name}", fields)).status for name, fields in forms.items()}
    await ada.pay("5")
    ada.gateway.app[COURIER].wake()
    begun = await attempts.begin(pool, 10, lease_seconds=1)
    removed = await ada.browser.send(f"{PATH}/2/remove")
    got = len(receiver.got)
    await pool.execute("UPDATE accounts SET suspended_at = NULL")
    ada.gateway.app[COURIER].wake()
    await ada.ended(2)

    assert set(statuses.values()) == {403}
    assert (begun, got, removed.status) == ([], 1, 303)
    assert [message.json["type"] for message in receiver.got] == ["webhook.test", "credits.granted"]


async def test_deleting_the_account_forgets_its_webhooks_and_tells_nobody(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url)
    await ada.browser.send(f"{PATH}/thresholds", {"amount": "50"})

    gone = await ada.browser.send("/dashboard/account/delete", {"confirm": "delete"})

    assert gone.status == 303
    assert await _hooks(ada) == await ada.deliveries() == []
    assert receiver.got == []
    assert await ada.gateway.pool.fetchval("SELECT count(*) FROM webhook_thresholds") == 0


async def test_hostile_addresses_and_answers_are_text(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url + "/<script>alert(1)</script>{{7*7}}'\"&")
    await ada.pay("1")
    await receiver.count(1)

    page = (await ada.browser.page(PATH)).text

    assert "<script>alert" not in page
    assert "{{7*7}}" in page


async def test_the_history_is_shown_in_pages_and_forgotten_after_some_days(ada: Holder) -> None:
    pool = ada.gateway.pool
    await ada.hook("https://8.8.8.8/")
    await pool.execute(
        """INSERT INTO webhook_deliveries (webhook, message, event, data, state, next_at, happened_at, attempts, error)
           SELECT 1, gen_random_uuid(), 'credits.granted', '{}', 'failed', NULL, now() - n * interval '1 day', 10, 'No.'
             FROM generate_series(0, 44) n"""
    )

    first = (await ada.browser.page(PATH)).text
    following = re.search(r'href="([^"]+)" rel="next"', first)
    assert following is not None
    second = (await ada.browser.page(following[1].replace("&amp;", "&"))).text
    await deliveries.forget_old(pool, 30)

    assert (first.count("msg_") // 3, second.count("msg_") // 3) == (20, 20)
    assert await pool.fetchval("SELECT count(*) FROM webhook_deliveries") == 30


async def test_staff_see_whether_webhooks_fail_but_no_path_token_or_secret(ada: Holder, receiver: Receiver) -> None:
    _, secret = await ada.hook(f"{receiver.url}?token=private")
    receiver.answers(500)
    await ada.pay("1")
    await ada.tried(1)
    moderator = await person(ada.gateway, role="moderator")

    async with browser(ada.gateway, moderator) as staff:
        page = (await staff.page(f"/staff/users/{ada.user}")).text

    assert "fails since" in page
    assert receiver.url.removesuffix("/hook") in page
    assert "/hook" not in page
    assert "private" not in page
    assert secret not in page


async def test_no_log_line_holds_a_secret_or_an_address(
    ada: Holder, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    _, secret = await ada.hook(f"{receiver.url}?token=private")
    receiver.answers(410)
    await ada.pay("1")
    await ada.ended()

    assert "webhook 1 is stopped: gone" in caplog.text
    assert secret not in caplog.text
    assert "private" not in caplog.text
