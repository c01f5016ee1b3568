"""What PostgreSQL tells of keys is heard at once, and what could not be heard is made good when it can be again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest

from nijika import request_id
from nijika.ledger import Hold, Settlement
from nijika.ledger.batch import apply
from nijika.ledger.grant import grant
from nijika.ledger.lease import Lease
from nijika.store import keyring, keys, listener
from nijika.store.listener import APPLICATION, CHANNEL, Listener
from tests.line import Line, line_to
from tests.store.conftest import Ring, working

CHANGES = {
    "revoked": "UPDATE keys SET revoked_at = now()",
    "ended sooner": "UPDATE keys SET expires_at = now()",
    "given to another account": "UPDATE keys SET account = (SELECT id FROM other)",
    "narrowed": "UPDATE keys SET scopes = '{/x}'",
    "another text": "UPDATE keys SET digest = digest || 'x'",
    "deleted": "DELETE FROM keys",
    "emptied": "TRUNCATE keys CASCADE",
    "suspended": "UPDATE accounts SET suspended_at = now()",
}


@pytest.fixture
def long_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten was heard of: nothing ends by itself."""
    monkeypatch.setattr(keyring, "LIFE_SECONDS", 3600.0)


@pytest.fixture
async def line(database: str, ring: Ring, long_life: None) -> AsyncIterator[Line]:
    """The line on which the ring's listener listens."""
    async with line_to(database) as line, working(Listener(line.url, ring.keyring)):
        await until(lambda: listening(ring))
        yield line


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for an effect."""
    async with asyncio.timeout(15):
        while not await holds():
            await asyncio.sleep(0.01)


async def backend(ring: Ring) -> int | None:
    """The process of PostgreSQL that tells the listener."""
    pid: int | None = await ring.other.fetchval(
        """SELECT pid FROM pg_stat_activity
            WHERE application_name = $1 AND datname = current_database() AND query ~ 'LISTEN|SELECT 1' AND state = 'idle'
            ORDER BY backend_start DESC LIMIT 1""",
        APPLICATION,
    )
    return pid


async def listening(ring: Ring) -> bool:
    return await backend(ring) is not None


async def refused(ring: Ring, key: str) -> None:
    """Wait until a key is refused."""

    async def is_refused() -> bool:
        return not await ring.knows(key)

    await until(is_refused)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "nijika.store"]


@pytest.mark.parametrize("sql", CHANGES.values(), ids=CHANGES)
async def test_what_a_key_may_do_changes_at_once(ring: Ring, line: Line, sql: str) -> None:
    key = await ring.make()
    await ring.other.execute("CREATE TEMPORARY TABLE other AS SELECT 0::bigint AS id")
    await ring.make()
    await ring.other.execute("UPDATE other SET id = (SELECT max(id) FROM accounts)")
    digests = ring.vault.digests(key)
    before = await ring.keyring.find(digests)

    await ring.other.execute(sql)

    async def is_another() -> bool:
        return await ring.keyring.find(digests) != before

    assert before is not None
    await until(is_another)


async def test_an_account_that_is_resumed_is_let_in_at_once(ring: Ring, line: Line) -> None:
    digests = ring.vault.digests(await ring.make())
    await ring.other.execute("UPDATE accounts SET suspended_at = now()")

    async def is_suspended() -> bool:
        key = await ring.keyring.find(digests)
        return key is not None and key.suspended

    await until(is_suspended)
    await ring.other.execute("UPDATE accounts SET suspended_at = NULL")

    async def is_resumed() -> bool:
        return not await is_suspended()

    await until(is_resumed)


async def test_a_key_that_ends_with_its_session_ends_at_once(ring: Ring, line: Line) -> None:
    key, session = await ring.make(), uuid4()
    await ring.other.execute("UPDATE keys SET session = $1", session)
    assert await ring.knows(key)

    await ring.other.execute("UPDATE keys SET revoked_at = now() WHERE session = ANY($1)", [session])

    await refused(ring, key)


async def test_money_tells_nothing_and_neither_does_what_a_key_is_called(ring: Ring) -> None:
    text = await ring.make()
    account, key = await ring.other.fetchrow("SELECT account, id FROM keys") or (0, 0)
    heard: list[object] = []
    await ring.other.add_listener(CHANNEL, lambda *message: heard.append(message[3]))

    charge = request_id.make()
    await grant(ring.other, request_id.make(), account, 10, "test")
    async with Lease(ring.pool, 30) as lease:
        await apply(ring.other, lease.id, [Hold(charge, account, key, "/x", 5, 60)], patient=True)
        await apply(ring.other, lease.id, [Settlement(charge, account, 3)], patient=True)
    await ring.other.execute("UPDATE keys SET name = 'another', sealed = NULL, revoked_at = revoked_at")
    await keys.revoke(ring.other, key)
    await keys.forget(ring.other, account)
    await ring.other.execute("SELECT pg_notify($1, 'end')", CHANNEL)

    async def has_heard_all() -> bool:
        return "end" in heard

    assert await ring.other.fetchval("SELECT spent FROM accounts WHERE id = $1", account) == 3
    await until(has_heard_all)
    assert heard == [ring.vault.digest(text).hex(), "end"]


async def test_a_listener_whose_backend_is_ended_is_back_and_told_once(
    ring: Ring, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    key, former = await ring.make(), await backend(ring)
    await ring.knows(key)

    await ring.other.execute("SELECT pg_terminate_backend($1)", former)

    async def is_back() -> bool:
        return await backend(ring) not in {None, former} and len(told(caplog)) == 2

    await until(is_back)
    await ring.knows(key)
    await ring.revoke(key)
    await refused(ring, key)
    lost, back = told(caplog)
    assert lost.startswith("changes of keys are not heard: a revoked one may be good for")
    assert back.startswith("changes of keys are heard again")


async def test_what_happened_while_nothing_was_heard_is_made_good(
    ring: Ring, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    key = await ring.make()
    await ring.knows(key)
    await line.cut()
    await ring.revoke(key)
    meanwhile = await ring.knows(key)

    line.mend()

    await refused(ring, key)
    assert meanwhile
    assert [record.levelno for record in caplog.records if record.name == "nijika.store"][:1] == [logging.WARNING]


async def test_an_outage_is_one_line_in_the_log_however_often_it_is_tried(
    line: Line, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PAUSE_SECONDS_MAX", 0.02)
    await line.cut()

    async def has_tried() -> bool:
        return line.refused > 5

    await until(has_tried)
    assert len(told(caplog)) == 1


async def test_a_connection_that_died_without_a_word_is_noticed(
    database: str, ring: Ring, long_life: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(listener, "ANSWER_SECONDS", 2.0)
    key = await ring.make()
    async with line_to(database) as line, working(Listener(line.url, ring.keyring)):
        await until(lambda: listening(ring))
        await ring.knows(key)

        line.hold()
        await ring.revoke(key)

        await refused(ring, key)


async def test_it_ends_without_a_trace(database: str, ring: Ring) -> None:
    async with working(Listener(database, ring.keyring)):
        await until(lambda: listening(ring))

    async def is_gone() -> bool:
        return not await listening(ring)

    await until(is_gone)


async def test_it_ends_also_when_its_connection_is_dead(
    database: str, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "CLOSE_SECONDS", 0.05)
    async with line_to(database) as line:
        task = asyncio.create_task(Listener(line.url, ring.keyring).run())
        await until(lambda: listening(ring))
        line.hold()

        task.cancel()
        await asyncio.wait([task], timeout=15)

        assert task.cancelled()
