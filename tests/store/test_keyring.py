"""What a process remembers of keys is never too old, never somebody else's, and never more than it has room for."""

import asyncio
import logging

import pytest

from nijika.errors import LedgerUnavailable
from nijika.store import keyring, keys, lookups
from nijika.store.keyring import LIFE_SECONDS
from nijika.store.vault import Vault, make_key
from tests.store.conftest import Ring


async def test_a_key_is_read_once_and_then_remembered(ring: Ring) -> None:
    key = await ring.make()

    answers = [await ring.knows(key) for _ in range(5)]

    assert answers == [True] * 5
    assert len(ring.queries) == 1


async def test_what_was_read_counts_for_five_seconds_though_nobody_tells_of_a_change(ring: Ring) -> None:
    key = await ring.make()
    await ring.knows(key)
    await ring.revoke(key)

    ring.now += LIFE_SECONDS - 0.001
    before = await ring.knows(key)
    ring.now += 0.001
    after = await ring.knows(key)

    assert LIFE_SECONDS == 5
    assert (before, after) == (True, False)


async def test_the_five_seconds_begin_when_the_reading_does(ring: Ring) -> None:
    key = await ring.make()
    ring.line.hold()
    asking = ring.ask(key)
    await ring.line.until_held()
    ring.now += 4
    ring.line.release()
    slow = await asking
    await ring.revoke(key)

    ring.now += 1
    after = await ring.knows(key)

    assert (slow, after) == (True, False)


async def test_its_own_end_counts_while_a_key_is_remembered(ring: Ring) -> None:
    key = await ring.make()
    await ring.other.execute("UPDATE keys SET expires_at = now() + interval '2 seconds'")
    await ring.knows(key)

    ring.now += 1.5
    await ring.knows(key)
    early = len(ring.queries)
    ring.now += 0.5
    await ring.knows(key)

    assert (early, len(ring.queries)) == (1, 2)


@pytest.mark.parametrize("end", ["infinity", "9999-12-31"])
async def test_a_key_that_ends_in_a_far_future_is_remembered_like_others(ring: Ring, end: str) -> None:
    key = await ring.make()
    await ring.other.execute(f"UPDATE keys SET expires_at = '{end}'")

    assert [await ring.knows(key), await ring.knows(key)] == [True, True]
    assert len(ring.queries) == 1


async def test_a_reading_that_began_before_a_revocation_is_not_remembered(ring: Ring) -> None:
    key = await ring.make()
    ring.line.hold()
    before = ring.ask(key)
    await ring.line.until_held()

    await ring.revoke(key)
    ring.keyring.forget(ring.vault.digest(key))
    ring.line.release()
    await before

    assert not await ring.knows(key)


async def test_who_comes_after_a_revocation_does_not_join_a_reading_from_before(ring: Ring) -> None:
    key = await ring.make()
    ring.line.hold()
    before = ring.ask(key)
    await ring.line.until_held()

    await ring.revoke(key)
    ring.keyring.forget(ring.vault.digest(key))
    after = ring.ask(key)
    await asyncio.sleep(0)
    ring.line.release()

    assert (await before, await after) == (True, False)


async def test_to_forget_one_key_leaves_the_others(ring: Ring) -> None:
    one, other = await ring.make(), await ring.make()
    await ring.knows(one)
    await ring.knows(other)

    ring.keyring.forget(ring.vault.digest(one))
    await ring.revoke(one)
    await ring.revoke(other)

    assert (await ring.knows(one), await ring.knows(other)) == (False, True)


async def test_those_who_ask_for_one_key_at_once_share_a_query_though_the_first_leaves(ring: Ring) -> None:
    key = await ring.make()
    ring.line.hold()
    first = ring.ask(key)
    await ring.line.until_held()
    others = [ring.ask(key) for _ in range(20)]
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.wait([first])
    ring.line.release()

    assert await asyncio.gather(*others) == [True] * 20
    assert first.cancelled()
    assert len(ring.queries) == 1


async def test_what_nobody_waits_for_any_more_is_not_read(ring: Ring) -> None:
    read, left = await ring.make(), await ring.make()
    ring.line.hold()
    asking = ring.ask(read)
    await ring.line.until_held()
    leaving = ring.ask(left)
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.wait([leaving])
    ring.line.release()
    await asking
    again = await ring.knows(left)

    assert again
    assert len(ring.queries) == 2


async def test_many_keys_at_once_take_few_queries_and_none_is_taken_for_another(ring: Ring) -> None:
    texts = [await ring.make() for _ in range(100)]
    strangers = [make_key() for _ in range(300)]

    found = await asyncio.gather(*(ring.keyring.find(ring.vault.digests(text)) for text in texts + strangers))

    rows = await ring.other.fetch("SELECT digest, id, account FROM keys")
    by_digest = {row["digest"]: (row["id"], row["account"]) for row in rows}
    assert [(key.id, key.account) for key in found if key] == [by_digest[ring.vault.digest(text)] for text in texts]
    assert found[100:] == [None] * 300
    assert len(ring.queries) == 2


async def test_unknown_keys_are_not_remembered_and_push_no_other_out(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "KEPT_MAX", 1)
    key, future = await ring.make(), make_key()
    await ring.knows(key)

    guesses = [await ring.knows(text) for text in (future, *(make_key() for _ in range(20)))]
    asked = len(ring.queries)
    known = await ring.knows(key)
    account = await ring.other.fetchval("SELECT account FROM keys")
    digest = ring.vault.digest(future)
    await keys.add(ring.other, account=account, name="k", digest=digest, sealed=None, hint="")

    assert guesses == [False] * 21
    assert (known, len(ring.queries)) == (True, asked)
    assert await ring.knows(future)


async def test_when_there_are_too_many_the_longest_known_goes_first(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "KEPT_MAX", 3)
    texts = [await ring.make() for _ in range(5)]
    for text in texts:
        await ring.knows(text)
    for text in texts:
        await ring.revoke(text)

    kept = len(ring.keyring)

    assert kept == 3
    assert [await ring.knows(text) for text in reversed(texts)] == [True, True, True, False, False]


async def test_what_is_too_old_takes_no_room(ring: Ring) -> None:
    texts = [await ring.make() for _ in range(5)]
    for text in texts:
        await ring.knows(text)
    ring.now += LIFE_SECONDS

    await ring.knows(texts[0])

    assert len(ring.keyring) == 1


async def test_a_key_from_before_a_change_of_secrets_is_remembered_and_forgotten_alike(ring: Ring) -> None:
    old = Vault(["the old secret"])
    key = await ring.make(old)
    before = [await ring.knows(key), await ring.knows(key)]
    asked = len(ring.queries)

    await ring.revoke(key)
    ring.keyring.forget(old.digest(key))

    assert (before, asked) == ([True, True], 1)
    assert not await ring.knows(key)


async def test_while_the_database_is_away_a_look_up_waits_and_all_who_wait_share_it(
    ring: Ring, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [await ring.make() for _ in range(3)]
    await ring.line.cut()
    asking = [ring.ask(text) for text in texts for _ in range(300)]
    async with asyncio.timeout(10):
        while ring.line.refused < 3:
            await asyncio.sleep(0.01)

    ring.line.mend()

    assert await asyncio.gather(*asking) == [True] * 900
    assert [record.levelno for record in caplog.records if record.name == "nijika.store"] == [logging.ERROR]


async def test_who_has_waited_long_enough_is_told_of_the_outage_and_never_of_a_wrong_key(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "RETRY_SECONDS", 0.2)
    key = await ring.make()
    await ring.line.cut()

    with pytest.raises(LedgerUnavailable):
        await ring.knows(key)
    ring.line.mend()
    monkeypatch.undo()

    assert await ring.knows(key)


async def test_when_too_many_wait_others_are_told_at_once_but_may_join(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "WAITING_MAX", 3)
    under_way, *waiting = [await ring.make() for _ in range(4)]
    ring.line.hold()
    asking = [ring.ask(under_way)]
    await ring.line.until_held()
    asking += [ring.ask(text) for text in waiting]
    await asyncio.sleep(0)

    with pytest.raises(LedgerUnavailable):
        await ring.knows(make_key())
    joined = [ring.ask(text) for text in (under_way, *waiting)]
    await asyncio.sleep(0)
    ring.line.release()

    assert await asyncio.gather(*asking, *joined) == [True] * 8


async def test_a_mistake_fails_those_who_asked_and_nobody_after_them(ring: Ring) -> None:
    key = await ring.make()
    await ring.other.execute("ALTER TABLE keys RENAME TO elsewhere")
    with pytest.raises(Exception, match='relation "keys" does not exist'):
        await ring.knows(key)
    await ring.other.execute("ALTER TABLE elsewhere RENAME TO keys")

    assert await ring.knows(key)
