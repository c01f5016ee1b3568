"""The limits in a real Redis: they decide as the ones in memory do, for all processes together, and lose no call.

Nothing stands in for Redis' clock. Time is let pass by moving what Redis remembers into the past, its expiry included:
GCRA knows no other time than the distance from now.
"""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from nijika.limits.gcra import Decision, Memory, Rate
from nijika.limits.remote import CALL_SECONDS, CONNECTIONS_MAX, Remote
from nijika.limits.shared import Shared
from tests.peers.patience import within
from tests.redis import RedisServer

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
SLOW = Rate(1, 3600, 3)
# Slow enough that no pause of this machine is felt, with intervals that are no whole numbers of anything.
RATES = st.builds(Rate, st.integers(1, 50), st.sampled_from([3600, 86_400]), st.integers(1, 40))
GAPS = st.lists(st.one_of(st.integers(0, 50), st.integers(0, 4 * 3_600_000)), min_size=1, max_size=40)

CALLING = """
import asyncio, sys
from nijika.limits.shared import Shared

async def main():
    async with Shared(sys.argv[1], lease_seconds=3) as shared, shared.flight("/", 1, "caller", "theirs") as entered:
        print("entered" if entered else "refused", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""

_numbers = itertools.count()


class Witness(Shared):
    """Remembers what Redis said."""

    ahead = 0

    async def _ahead(self, rule: str, rate: Rate, caller: str, *, counts: bool) -> int | None:
        answer = await super()._ahead(rule, rate, caller, counts=counts)
        assert answer is not None, "Redis is there"
        self.ahead = answer
        return answer


class Traveller:
    """Calls of one caller, between which time passes in Redis; `moments` are those of Redis, moved on, nanoseconds."""

    def __init__(self, url: str, rate: Rate) -> None:
        self.rate = rate
        self.rule = f"/{next(_numbers)}"
        self._url = url
        self._key = f"nijika:rate:{rate.count}/{rate.seconds}/{rate.burst}:{self.rule} caller"
        self._gone = 0

    async def calls(self, gaps: list[int]) -> list[tuple[int, Decision]]:
        """Moment and decision of a call after each gap, in milliseconds."""
        async with Witness(self._url) as shared, Redis.from_url(self._url) as redis:
            return [await self._call(shared, redis, gap) for gap in gaps]

    async def _call(self, shared: Witness, redis: "Redis", gap: int) -> tuple[int, Decision]:
        state = await self._move(redis, gap)
        decision = await shared.take(self.rule, self.rate, "caller")
        assert decision is not None
        if decision.passes:
            held = await self._state(redis)
            if held is None:
                # It has expired since then, and a moment later than that of the call finds just as little.
                return await _now(redis) + self._gone, decision
            state = held - self.rate.interval
        assert state is not None
        moment = state - shared.ahead
        assert moment % 1000 == 0, "Redis' clock has microseconds, and nothing is lost on the way"
        return moment + self._gone, decision

    async def _move(self, redis: "Redis", gap: int) -> int | None:
        """Let `gap` milliseconds pass: what was to happen happens so much earlier."""
        self._gone += gap * MILLISECOND
        state, ends = await self._state(redis), await redis.pexpiretime(self._key)
        if state is None:
            return None
        state -= gap * MILLISECOND
        await redis.set(self._key, f"{state // SECOND}.{state % SECOND:09d}", pxat=ends - gap)
        return await self._state(redis)

    async def _state(self, redis: "Redis") -> int | None:
        text = await redis.get(self._key)
        if text is None:
            return None
        seconds, nanoseconds = written(text).split(".")
        return int(seconds) * SECOND + int(nanoseconds)


async def _now(redis: "Redis") -> int:
    seconds, microseconds = await redis.time()
    return int(seconds * SECOND + microseconds * 1000)


TRAVEL = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@TRAVEL
@given(RATES, GAPS)
def test_redis_and_memory_decide_alike(redis_server: RedisServer, rate: Rate, gaps: list[int]) -> None:
    calls = asyncio.run(Traveller(redis_server.url, rate).calls(gaps))

    moments = iter([moment for moment, _ in calls])
    memory = Memory(rate, entries_max=10, clock=lambda: next(moments))
    assert [decision for _, decision in calls] == [memory.take("caller") for _ in calls]


@TRAVEL
@given(RATES, GAPS)
def test_no_window_lets_more_pass_than_burst_and_rate_allow(
    redis_server: RedisServer, rate: Rate, gaps: list[int]
) -> None:
    calls = asyncio.run(Traveller(redis_server.url, rate).calls([gap for gap in gaps for _ in range(3)]))

    passed = [moment for moment, decision in calls if decision.passes]
    for first, begin in enumerate(passed):
        for last, end in enumerate(passed[first:], first):
            assert last - first + 1 <= rate.burst + (end - begin) * rate.count / (rate.seconds * SECOND)


@pytest.mark.parametrize("rate", [Rate(1, 86_400, 100), Rate(999_999_999, 1, 999_999_999), Rate(7, 86_400, 699)])
def test_the_largest_bursts_are_counted_exactly(redis_server: RedisServer, rate: Rate) -> None:
    gap = -(-rate.interval // MILLISECOND) if rate.seconds > 1 else 3_600_000
    calls = asyncio.run(Traveller(redis_server.url, rate).calls([0, 0, gap, 0, 100 * gap, 0]))

    moments = iter([moment for moment, _ in calls])
    memory = Memory(rate, entries_max=10, clock=lambda: next(moments))
    assert [decision for _, decision in calls] == [memory.take("caller") for _ in calls]


async def test_who_waits_in_line_for_redis_is_not_kept_for_ever_and_that_is_no_outage(
    redis_server: RedisServer,
) -> None:
    remote = Remote(redis_server.url)
    script = remote.script("return 1")
    async with AsyncExitStack() as others:
        for _ in range(CONNECTIONS_MAX):
            await others.enter_async_context(remote._gate)

        async with within("the line for Redis does not end"):
            answer = await remote.ask(script, "key")

    assert answer is None
    assert not remote.away
    assert await remote.ask(script, "key") == 1
    await remote.close()


@pytest.fixture
async def pair(redis_server: RedisServer) -> AsyncIterator[tuple[Shared, Shared]]:
    """The limits as two processes see them."""
    async with Shared(redis_server.url) as one, Shared(redis_server.url) as other:
        yield one, other


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator["Redis"]:
    """A look at what Redis remembers."""
    async with Redis.from_url(redis_server.url) as redis:
        yield redis


Pair = tuple[Shared, Shared]


async def test_two_processes_at_once_let_no_more_pass_than_one_may(pair: Pair, redis: "Redis") -> None:
    rate = Rate(100, 1, 10)
    began = await now(redis)
    at_once = 2 * CONNECTIONS_MAX  # with more, some would wait in line, on a busy machine in vain
    decisions = await asyncio.gather(*(pair[n % 2].take("/", rate, "caller") for n in range(at_once)))
    seconds = await now(redis) - began

    passed = sum(decision is not None and decision.passes for decision in decisions)
    assert None not in decisions
    assert 10 <= passed <= 10 + seconds * 100


async def test_to_peek_does_not_count(pair: Pair) -> None:
    one, other = pair

    peeks = [await one.peek("/", SLOW, "caller") for _ in range(5)]
    for _ in range(3):
        await one.take("/", SLOW, "caller")
    after = await other.peek("/", SLOW, "caller")

    assert peeks == [Decision(passes=True, remaining=3, retry_after=0, reset=0)] * 5
    assert after is not None
    assert (after.passes, after.remaining) == (False, 0)
    assert 3590 <= after.retry_after <= 3600


async def test_rules_rates_and_callers_count_apart(pair: Pair) -> None:
    once = Rate(1, 3600, 1)
    counted = [("/a", once, "x"), ("/a", once, "y"), ("/b", once, "x"), ("/a", Rate(1, 86_400, 1), "x")]

    first = [await pair[0].take(*what) for what in counted]
    second = [await pair[1].take(*what) for what in counted]

    assert [decision is not None and decision.passes for decision in first] == [True] * 4
    assert [decision is not None and decision.passes for decision in second] == [False] * 4


async def test_who_does_not_call_is_forgotten(pair: Pair, redis: "Redis") -> None:
    await pair[0].take("/", Rate(10, 1, 10), "caller")
    async with pair[0].flight("/", 1, "caller", "call"):
        ends = [await redis.pttl(key) for key in await redis.keys("nijika:flights:*")]

    assert all(0 < end <= 60_000 for end in ends)
    async with within("Redis to forget"):
        while await redis.keys("nijika:rate:*") + await redis.keys("nijika:flights:*"):
            await asyncio.sleep(0.01)


async def test_a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_burst(pair: Pair, redis: "Redis") -> None:
    rate = Rate(1, 60, 2)
    await pair[0].take("/", rate, "caller")
    (key,) = await redis.keys("nijika:rate:*")
    seconds, _, rest = written(await redis.get(key)).partition(".")
    await redis.set(key, f"{int(seconds) + 86_400}.{rest}")

    decision = await pair[0].take("/", rate, "caller")

    assert decision == Decision(passes=False, remaining=0, retry_after=60, reset=120)


class TestFlights:
    """Calls under way, counted over processes."""

    async def test_no_more_are_under_way_than_may_be_and_each_comes_back_once(self, pair: Pair, redis: "Redis") -> None:
        one, other = pair
        async with AsyncExitStack() as stack:
            entered = [await stack.enter_async_context(pair[n % 2].flight("/", 3, "c", f"call {n}")) for n in range(5)]
            elsewhere = await stack.enter_async_context(one.flight("/", 3, "somebody else", "call 9"))
        await empty(redis)
        async with AsyncExitStack() as stack:
            anew = [await stack.enter_async_context(other.flight("/", 3, "c", f"new {n}")) for n in range(4)]

        assert (entered, elsewhere) == ([True, True, True, False, False], True)
        assert anew == [True, True, True, False]

    async def test_the_next_call_of_a_process_finds_its_last_one_gone(self, pair: Pair) -> None:
        for number in range(50):
            async with pair[0].flight("/", 1, "caller", f"call {number}") as entered:
                assert entered

    @pytest.mark.parametrize("moment", range(12))
    async def test_a_call_that_is_cancelled_while_it_enters_leaves(
        self, pair: Pair, redis: "Redis", moment: int
    ) -> None:
        await enters(pair[0], "before")  # so that Redis has the script

        async def call() -> None:
            async with pair[0].flight("/", 1, "caller", "call"):
                await asyncio.Event().wait()

        task = asyncio.create_task(call())
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        await empty(redis)
        assert not pair[0].away, "a connection that was given up in the middle of an answer is not used again"
        assert await pair[0].peek("/", SLOW, "caller") == Decision(passes=True, remaining=3, retry_after=0, reset=0)

    async def test_a_long_call_keeps_its_place(self, redis_server: RedisServer, redis: "Redis") -> None:
        async with Shared(redis_server.url, lease_seconds=1.5) as shared, shared.flight("/", 1, "c", "call") as entered:
            (key,) = await redis.keys("nijika:flights:*")
            ends = [await redis.zscore(key, "call")]
            async with within("three renewals"):
                while len(ends) < 4:
                    await asyncio.sleep(0.05)
                    end = await redis.zscore(key, "call")
                    ends += [end] if end != ends[-1] else []

        assert entered
        assert all(ends)

    async def test_the_calls_of_a_killed_process_come_back(self, redis_server: RedisServer, pair: Pair) -> None:
        with a_process_with_a_call(redis_server.url) as process:
            async with pair[1].flight("/", 2, "caller", "a long one"):
                while_it_lives = await enters(pair[0], "mine", most=2)
                process.kill()
                process.wait()
                async with within("the lease to end", 30):
                    while not await enters(pair[0], "mine", most=2):
                        await asyncio.sleep(0.05)

        assert while_it_lives is False

    async def test_what_redis_forgot_is_written_down_again(self, redis_server: RedisServer) -> None:
        async with Shared(redis_server.url, retry_seconds=0.05) as shared, Shared(redis_server.url) as other:
            async with shared.flight("/", 1, "caller", "call"):
                redis_server.stop()
                async with shared.flight("/", 2, "caller", "in the outage") as in_the_outage:
                    redis_server.start()
                    async with within("Redis to be back"):
                        while shared.away:
                            await asyncio.sleep(0.01)
                        while (await other.take("/", SLOW, "x")) is None or await enters(other, "another", most=2):
                            await asyncio.sleep(0.01)

        assert in_the_outage is None

    async def test_a_renewal_does_not_revive_a_call_that_is_over(
        self, redis_server: RedisServer, redis: "Redis"
    ) -> None:
        async with Shared(redis_server.url) as shared:
            for number in range(30):
                async with shared.flight("/", 9, "caller", f"call {number}"):
                    renewal = asyncio.create_task(shared._renew_all())
                    for _ in range(number % 6):
                        await asyncio.sleep(0)
                await renewal

        await empty(redis)


class TestOutage:
    """A Redis that is away."""

    async def test_while_it_is_frozen_nobody_waits_but_those_whom_it_met(
        self, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Shared(redis_server.url, retry_seconds=3600) as shared:
            await shared.take("/", SLOW, "caller")
            redis_server.freeze()
            first = await asyncio.gather(*(shared.take("/", SLOW, "caller") for _ in range(200)))
            shared._remote._client.execute_command = None  # type: ignore[method-assign, assignment] # nobody may ask
            later = [await shared.take("/", SLOW, "caller") for _ in range(200)]
            async with shared.flight("/", 1, "caller", "call") as entered:
                pass
            redis_server.thaw()

        assert (set(first), set(later), entered) == ({None}, {None}, None)
        (said,) = [record.getMessage() for record in caplog.records if record.name == "nijika.limits"]
        assert said.endswith("is away, on_outage says what happens: no answer in time")

    @pytest.mark.parametrize("moment", range(6))
    async def test_a_pause_of_our_own_is_no_outage(self, redis_server: RedisServer, moment: int) -> None:
        async with Shared(redis_server.url, retry_seconds=3600) as shared:
            calls = [asyncio.create_task(shared.take("/", SLOW, f"caller {number}")) for number in range(3)]
            for _ in range(moment):
                await asyncio.sleep(0)
            time.sleep(2 * CALL_SECONDS)  # noqa: ASYNC251 (somebody keeps the loop from running)
            decisions = await asyncio.gather(*calls)

            assert None not in decisions
            assert not shared.away

    async def test_one_late_answer_among_others_is_no_outage(self, redis_server: RedisServer) -> None:
        remote = Remote(redis_server.url)
        script = remote.script("return 1")
        late = asyncio.create_task(remote.ask(cast("AsyncScript", never), "key"))
        others = []
        while not late.done():
            others.append(await remote.ask(script, "key"))

        assert late.result() is None
        assert set(others) == {1}
        assert not remote.away
        await remote.close()

    async def test_a_late_answer_of_which_there_are_no_others_is_an_outage(self, redis_server: RedisServer) -> None:
        remote = Remote(redis_server.url)
        await remote.ask(remote.script("return 1"), "key")

        assert await remote.ask(cast("AsyncScript", never), "key") is None
        assert remote.away
        await remote.close()

    async def test_it_is_told_once_that_it_went_and_once_that_it_is_back(
        self, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Shared(redis_server.url, retry_seconds=0.02) as shared:
            for _ in range(2):
                redis_server.stop()
                await asyncio.gather(*(shared.take("/", SLOW, "caller") for _ in range(20)))
                await asyncio.sleep(0.2)  # for a few tries
                redis_server.start()
                async with within("Redis to be back"):
                    while shared.away:
                        await asyncio.sleep(0.01)
                assert (await shared.take("/", SLOW, "caller")) is not None

        said = [record.getMessage() for record in caplog.records if record.name == "nijika.limits"]
        assert ["away" in text for text in said] == [True, False] * 2
        assert all("is back after" in text for text in said[1::2])

    async def test_a_password_is_never_told(self, redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
        url = redis_server.url.replace("redis://", "redis://user:hunter2@")
        async with Shared(url) as shared:
            assert shared.away

        assert "away" in caplog.text
        assert "hunter2" not in caplog.text

    async def test_a_redis_that_only_reads_is_away(self, redis_server: RedisServer, redis: "Redis") -> None:
        async with Shared(redis_server.url, retry_seconds=0.02) as shared:
            await redis.replicaof("127.0.0.1", "1")
            refused = await shared.take("/", SLOW, "caller")
            away = []
            for _ in range(10):
                await asyncio.sleep(0.02)
                away.append(shared.away)
            await redis.replicaof("NO", "ONE")
            async with within("Redis to be back"):
                while shared.away:
                    await asyncio.sleep(0.01)

        assert (refused, set(away)) == (None, {True})

    async def test_one_that_was_never_there_is_awaited(self, redis_server: RedisServer) -> None:
        redis_server.stop()
        async with Shared(redis_server.url, retry_seconds=0.02) as shared:
            before = await shared.take("/", SLOW, "caller")
            redis_server.start()
            async with within("Redis to be there"):
                while (await shared.take("/", SLOW, "caller")) is None:
                    await asyncio.sleep(0.01)

        assert before is None

    async def test_a_restart_between_two_calls_is_not_noticed(
        self, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Shared(redis_server.url, retry_seconds=3600) as shared:
            await asyncio.gather(*(shared.take("/", SLOW, "caller") for _ in range(20)))
            redis_server.stop()
            await asyncio.sleep(0.01)  # for the loop to see that its connections are closed
            redis_server.start()
            decision = await shared.take("/", SLOW, "caller")

        assert decision is not None
        assert "away" not in caplog.text


async def never(**_: Any) -> None:
    """A script whose answer is lost."""
    await asyncio.Event().wait()


@contextmanager
def a_process_with_a_call(url: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own, in which a call of `caller` is under way; it ends with the block."""
    command = [sys.executable, "-c", CALLING, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "entered\n"
        yield process
        process.kill()


async def enters(shared: Shared, call: str, most: int = 1) -> bool | None:
    async with shared.flight("/", most, "caller", call) as entered:
        return entered


async def empty(redis: "Redis") -> None:
    """Waits until no call is under way."""
    async with within("all calls to have left"):
        while await redis.keys("nijika:flights:*"):
            await asyncio.sleep(0.01)


def written(value: bytes | str | None) -> str:
    """What Redis has under a key that is there."""
    assert isinstance(value, bytes)
    return value.decode()


async def now(redis: "Redis") -> float:
    seconds, microseconds = await redis.time()
    return float(seconds) + microseconds / 1e6
