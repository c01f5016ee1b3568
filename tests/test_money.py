"""What a caller pays: the price for a success, nothing for anything else, whatever breaks."""

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from nijika import request_id
from nijika.ledger import Hold, Settlement
from nijika.ledger.verify import INVARIANTS, verify
from nijika.proxy import relay
from nijika.state import LEDGER
from tests.conftest import Start
from tests.gateway import CHAIN, Customer, Gateway, configuration, upstream_table
from tests.peers import answers, dead_ends, faults, raw, redirects, streams
from tests.peers.exchange import Behaviour, Exchange
from tests.peers.upstream import Upstream

PATH = "/api/removebg"
WORKER = "/v1/cutout"
HURRIED = "connect_seconds = 0.5\nfirst_byte_seconds = 0.5\nidle_seconds = 0.5\ntotal_seconds = 3"


def post(customer: Customer, body: bytes = b"picture", *, length: int | None = None, fields: str = "") -> bytes:
    """A raw POST of the priced route."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\n{fields}"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


async def test_a_success_costs_the_price(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))

    async with gateway.session.post(PATH, data=b"picture", headers=customer.fields) as answer:
        body = await answer.read()

    assert (answer.status, body) == (200, b"cut-out")
    assert answer.headers["X-Credits-Charged"] == "1"
    assert answer.headers["X-Credits-Remaining"] == "99"
    assert await customer.settled() == {"available": "99", "held": "0", "spent": "1", "granted": "100"}
    assert await gateway.violations() == {}


async def test_200_calls_on_credit_for_100_are_100_successes_and_100_refusals(
    gateway: Gateway, upstream: Upstream
) -> None:
    customer = await gateway.customer("100")
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))

    async def call() -> int:
        async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
            await answer.read()
            return answer.status

    statuses = Counter(await asyncio.gather(*(call() for _ in range(200))))

    assert statuses == {200: 100, 402: 100}
    assert await customer.settled() == {"available": "0", "held": "0", "spent": "100", "granted": "100"}
    assert len(upstream.seen) == 100
    assert await gateway.violations() == {}


async def test_too_little_credit_is_402_with_price_and_balance(gateway: Gateway, upstream: Upstream) -> None:
    customer = await gateway.customer("0.999999")

    async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
        problem = await answer.json(content_type="application/problem+json")

    assert answer.status == 402
    assert (problem["code"], problem["price"], problem["balance"]) == ("insufficient-credits", "1", "0.999999")
    assert upstream.seen == []


FAULTS: list[tuple[str, Behaviour, set[int]]] = [
    ("no answer", faults.unanswered, {504}),
    ("body unread", faults.unread, {504}),
    ("closed without a word", faults.closed, {502}),
    ("reset before the head", faults.reset(), {502}),
    ("silence after the head", faults.silent_after(), {504}),
    ("silence within the body", faults.silent_after(b"x" * 10), {504, 0}),
    ("reset at byte 0", faults.reset_at(0), {502}),
    ("reset at byte 10", faults.reset_at(10), {502, 0}),
    ("reset at byte 300000", faults.reset_at(300_000), {502, 0}),
    ("reset in chunks", faults.reset_at(10, chunked=True), {502, 0}),
    ("short body", faults.short(), {502, 0}),
    ("missing last chunk", faults.unfinished(), {502, 0}),
    ("torn chunk", faults.torn(), {502, 0}),
    ("bad chunk size", faults.bad_chunk(), {502, 0}),
    ("bad chunk size, later", faults.bad_chunk(apart=True), {502, 0}),
    ("status 99", faults.raw(b"HTTP/1.1 099 Odd\r\nContent-Length: 1\r\n\r\nx"), {502}),
    ("status 600", faults.raw(b"HTTP/1.1 600 Odd\r\nContent-Length: 1\r\n\r\nx"), {502}),
    ("101 as an answer", faults.raw(b"HTTP/1.1 101 Odd\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), {502, 504}),
    (
        "a coding that nobody undoes",
        faults.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
        {502},
    ),
    ("garbage", faults.garbage(), {502}),
    ("huge header", faults.huge_header(), {502}),
    ("two lengths", faults.two_lengths(), {502}),
    ("length and chunks", faults.length_and_chunks(), {502}),
    ("500", answers.failed(500), {502}),
    ("502", answers.failed(502), {502}),
    ("503", answers.starting(), {503}),
    ("504", answers.failed(504), {504}),
    ("429", answers.too_many(), {503}),
    ("301", redirects.away("/elsewhere", 301), {502}),
    ("302", redirects.away("/elsewhere", 302), {502}),
    ("307", redirects.away("/elsewhere", 307), {502}),
    ("303 to another host", redirects.away("http://127.0.0.1:9/x"), {502}),
    ("303 without a Location", redirects.away(None), {502}),
    ("endless 303", redirects.loop(), {502}),
]


@pytest.mark.parametrize(("behaviour", "statuses"), [fault[1:] for fault in FAULTS], ids=[f[0] for f in FAULTS])
async def test_a_failed_call_costs_nothing(
    start: Start, upstream: Upstream, behaviour: Behaviour, statuses: set[int]
) -> None:
    upstream.plan("*", behaviour)
    async with start(configuration(upstream_table(upstream.url, settings=HURRIED))) as gateway:
        customer = await gateway.customer()

        async with raw.connect(gateway.url) as client:
            reply = await client.ask(post(customer))

        if reply.status == 200:
            assert reply.ending == "cut", "a broken answer must look broken"
            assert 0 in statuses
        else:
            assert reply.status in statuses
            assert reply.json()["code"].startswith("upstream-")
            assert answers.SECRET not in reply.body
        assert await customer.settled() == {"available": "100", "held": "0", "spent": "0", "granted": "100"}
        assert await gateway.violations() == {}


@pytest.mark.parametrize("dead_end", [dead_ends.closed_port, dead_ends.full_backlog, dead_ends.never_accepting])
async def test_a_worker_that_is_not_there_costs_nothing(start: Start, dead_end: type) -> None:
    with dead_end() as url:
        async with start(configuration(upstream_table(url, settings=HURRIED))) as gateway:
            customer = await gateway.customer()

            async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
                status = answer.status

            assert status in {502, 504}
            assert (await customer.settled())["available"] == "100"


@pytest.mark.parametrize("status", [400, 404, 409, 413, 415, 422])
async def test_a_refusal_by_the_worker_is_passed_on_and_costs_nothing(
    gateway: Gateway, customer: Customer, upstream: Upstream, status: int
) -> None:
    upstream.plan(WORKER, answers.answer(status, b"no picture", [("Content-Type", "text/plain")]))

    async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
        body = await answer.read()

    assert (answer.status, body) == (status, b"no picture")
    assert (answer.headers["X-Credits-Charged"], answer.headers["X-Credits-Remaining"]) == ("0", "100")
    assert (await customer.settled())["available"] == "100"


async def test_who_reads_all_but_the_last_bytes_and_resets_is_charged(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, streams.generated(300_000))

    async with raw.connect(gateway.url) as client:
        await client.send(post(customer))
        head = await client.head()
        client.reset()

    assert head.status == 200
    assert (await customer.settled())["spent"] == "1"
    assert (await upstream.request()).finished


async def test_who_hangs_up_after_the_upload_is_charged_for_the_work(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan(WORKER, streams.gated(gate, answers.answer(200, b"cut-out")))

    async with raw.connect(gateway.url) as client:
        await client.send(post(customer))
        await upstream.until(lambda: len(upstream.seen) == 1 and upstream.seen[0].complete)
        client.reset()
    gate.set()

    assert (await customer.settled())["spent"] == "1"


async def test_on_a_route_that_cancels_who_hangs_up_after_the_upload_pays_nothing_and_the_work_stops(
    start: Start, upstream: Upstream
) -> None:
    route = (
        '[[routes]]\nuse = "proxy"\npath = "/api/removebg"\nupstream = "worker"\ntarget = "/v1/cutout"\nprice = "1"\n'
    )
    upstream.plan(WORKER, faults.unanswered)
    table = upstream_table(upstream.url)
    async with start(configuration(table, routes=route + 'on_disconnect = "cancel"\n')) as gateway:
        customer = await gateway.customer()

        async with raw.connect(gateway.url) as client:
            await client.send(post(customer))
            await upstream.until(lambda: len(upstream.seen) == 1 and upstream.seen[0].complete)
            client.reset()

        assert (await customer.settled())["available"] == "100"
        assert await gateway.pool.fetchval("SELECT reason FROM charges") == "caller-gone"
        await upstream.until(lambda: upstream.seen[0].hung_up)
        assert await gateway.violations() == {}


async def test_on_a_route_that_cancels_who_has_some_of_the_answer_pays_for_it(start: Start, upstream: Upstream) -> None:
    route = (
        '[[routes]]\nuse = "proxy"\npath = "/api/removebg"\nupstream = "worker"\ntarget = "/v1/cutout"\nprice = "1"\n'
    )
    upstream.plan(WORKER, streams.generated(3_000_000))
    table = upstream_table(upstream.url)
    async with start(configuration(table, routes=route + 'on_disconnect = "cancel"\n')) as gateway:
        customer = await gateway.customer()

        async with raw.connect(gateway.url) as client:
            await client.send(post(customer))
            await client.head()
            client.reset()

        assert (await customer.settled())["spent"] == "1"


async def test_who_reads_for_longer_than_the_charge_may_be_open_is_cut_and_charged(
    gateway: Gateway, customer: Customer, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "DOWNLOAD_SECONDS", 0.3)
    upstream.plan(WORKER, streams.generated(20_000_000))

    async with raw.connect(gateway.url) as client:
        await client.send(post(customer))
        await client.head()
        while (balances := await customer.balances())["spent"] == "0":
            await asyncio.sleep(0.02)
        rest = await client.rest()

    assert len(rest) < 20_000_000
    assert (balances["spent"], balances["held"]) == ("1", "0")


async def test_who_drops_within_the_upload_is_not_charged_and_the_worker_sees_no_whole_body(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.digest())

    async with raw.connect(gateway.url) as client:
        await client.send(post(customer, b"x" * 500, length=1000))
        await upstream.until(lambda: bool(upstream.seen) and upstream.seen[0].upload.count == 500)
        client.reset()

    assert (await customer.settled())["available"] == "100"
    await upstream.until(lambda: upstream.seen[0].broken)
    assert not upstream.seen[0].complete


async def test_the_newest_piece_waits_until_the_charge_is_captured(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    tick = asyncio.Event()
    upstream.plan(WORKER, streams.drip([b"one", b"two"], tick))

    async with raw.connect(gateway.url) as client:
        await client.send(post(customer))
        tick.set()
        reply = await client.reply()

    assert (reply.status, reply.body) == (200, b"onetwo")
    # The whole body is here, so the charge must be captured by now: no waiting.
    assert (await customer.balances())["spent"] == "1"


@pytest.mark.parametrize(
    ("reported", "charged"),
    [("0.25", "0.25"), ("0", "0"), ("2", "2"), ("2.1", "2"), ("-1", "2"), ("x", "2"), (None, "2")],
)
async def test_a_metered_call_costs_what_the_worker_reports_and_never_more_than_was_held(
    start: Start, upstream: Upstream, reported: str | None, charged: str
) -> None:
    route = (
        '[[routes]]\nuse = "proxy"\npath = "/api/removebg"\nupstream = "worker"\ntarget = "/v1/cutout"\n'
        'price = { hold = "2", capture = "X-Nijika-Cost" }'
    )
    fields = [] if reported is None else [("X-Nijika-Cost", reported)]
    upstream.plan(WORKER, answers.answer(200, b"cut-out", fields))
    async with start(configuration(upstream_table(upstream.url), routes=route)) as gateway:
        customer = await gateway.customer()

        async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
            await answer.read()

        assert answer.headers["X-Credits-Charged"] == charged
        assert "X-Nijika-Cost" not in answer.headers
        assert (await customer.settled())["spent"] == charged
        assert await gateway.violations() == {}


async def test_without_a_database_nothing_is_forwarded(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    await gateway.soon(customer.key, 200)  # the key is remembered, and it is the ledger that misses the database
    gateway.pool.terminate()

    async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
        problem = await answer.json(content_type="application/problem+json")

    assert (answer.status, problem["code"]) == (503, "ledger-unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert upstream.seen == []


async def test_a_charge_that_was_refunded_by_another_hand_gives_no_result_away(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan(WORKER, streams.gated(gate, answers.answer(200, b"cut-out")))

    async with raw.connect(gateway.url) as client:
        await client.send(post(customer))
        await upstream.until(lambda: len(upstream.seen) == 1 and upstream.seen[0].complete)
        await gateway.pool.execute(
            """WITH c AS (UPDATE charges SET state = 'refunded', settled_at = now() RETURNING id, account, held),
                    a AS (UPDATE accounts SET available = available + c.held, held = accounts.held - c.held FROM c)
               INSERT INTO journal (id, step, kind, account, available, held, granted, spent)
               SELECT id, 1, 'refund', account, held, -held, 0, 0 FROM c"""
        )
        gate.set()
        reply = await client.reply()

    assert (reply.status, reply.json()["code"]) == (503, "charge-lost")
    assert (await customer.balances())["available"] == "100"
    assert await gateway.violations() == {}


async def test_a_settlement_that_is_sent_twice_counts_once(gateway: Gateway, customer: Customer) -> None:
    ledger = gateway.app[LEDGER]
    hold = Hold(request_id.make(), customer.account, 1, PATH, 5_000_000, 60)

    charge, again = await ledger.hold(hold), await ledger.hold(hold)
    first = await ledger.settle(Settlement(hold.id, customer.account, 5_000_000, 200))
    second = await ledger.settle(Settlement(hold.id, customer.account, 5_000_000, 200))
    other = await ledger.settle(Settlement(hold.id, customer.account, None, reason="too late"))

    assert charge.id == again.id
    assert (first, second, other) == (95_000_000, 95_000_000, None)
    assert await customer.balances() == {"available": "95", "held": "0", "spent": "5", "granted": "100"}
    assert await gateway.violations() == {}


async def test_who_sends_half_a_body_and_leaves_pays_nothing_for_an_early_answer(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    gate = asyncio.Event()

    async def impatient(exchange: Exchange) -> None:
        await gate.wait()
        await answers.early(200, b"done")(exchange)

    upstream.plan(WORKER, impatient)

    async with raw.connect(gateway.url) as client:
        await client.send(post(customer, b"x" * 10, length=100_000))
        await upstream.request()
        client.reset()
        await asyncio.sleep(0.05)
        gate.set()
        balances = await customer.settled()

    assert balances == {"available": "100", "held": "0", "spent": "0", "granted": "100"}


@pytest.mark.parametrize("value", [b"a\x01b", b"a\x7fb", b"\x0b"])
async def test_a_field_that_cannot_be_passed_on_costs_nothing(
    gateway: Gateway, customer: Customer, upstream: Upstream, value: bytes
) -> None:
    upstream.plan(WORKER, faults.raw(b"HTTP/1.1 200 OK\r\nX-A: " + value + b"\r\nContent-Length: 1\r\n\r\nx"))

    async with raw.connect(gateway.url) as client:
        reply = await client.ask(post(customer))

    assert reply.status == 502
    assert (await customer.settled())["available"] == "100"


async def test_verify_finds_each_kind_of_violation(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"x"))
    async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
        await answer.read()
    await customer.settled()
    sabotage = {
        "spent is the sum captured": "UPDATE charges SET captured = 0",
        "balances are the replay of the journal": "UPDATE accounts SET available = available + 1, granted = granted + 1",
        "every charge has its hold entry": (
            "ALTER TABLE journal DISABLE TRIGGER append_only; DELETE FROM journal WHERE kind = 'hold'"
        ),
        "settled if and only if one matching settlement": (
            "ALTER TABLE journal DISABLE TRIGGER append_only; DELETE FROM journal WHERE step = 1"
        ),
        "no journal row without its charge": "DELETE FROM charges",
        "none open long past its deadline": (
            "UPDATE charges SET state = 'held', captured = 0, settled_at = NULL, deadline = now() - interval '2 minutes'"
        ),
        "held is the sum of open charges": "UPDATE charges SET state = 'held', captured = 0, settled_at = NULL",
        "no charge without account": "UPDATE charges SET account = 999",
        "conservation": (
            "ALTER TABLE accounts DROP CONSTRAINT conservation; UPDATE accounts SET available = available + 1"
        ),
    }

    assert set(sabotage) == set(INVARIANTS)
    async with gateway.pool.acquire() as connection:
        for name, sql in sabotage.items():
            await connection.execute("BEGIN")
            await connection.execute(sql)
            count = await connection.fetchval(INVARIANTS[name])
            await connection.execute("ROLLBACK")
            assert count >= 1, name
        assert not any((await verify(connection)).values())


async def test_the_journal_cannot_be_changed(gateway: Gateway, customer: Customer) -> None:
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await gateway.pool.execute("UPDATE journal SET reason = 'forged'")
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await gateway.pool.execute("DELETE FROM journal")


@pytest.fixture
async def paint(start: Start) -> AsyncIterator[Gateway]:
    text = '[[routes]]\nuse = "tests.plugin:Paint"\ncolour = "red"\n'
    async with start(configuration("", chain=CHAIN, routes=text)) as gateway:
        yield gateway


async def test_a_priced_plugin_of_ones_own_is_charged_before_its_answer_is_sent(paint: Gateway) -> None:
    customer = await paint.customer()

    async with paint.session.post("/api/paint", headers=customer.fields) as answer:
        body = await answer.text()
    async with paint.session.post("/api/paint?fail=1", headers=customer.fields) as failure:
        await failure.read()

    assert (answer.status, body) == (200, "red")
    assert answer.headers["X-Credits-Charged"] == "0.5"
    assert (failure.status, failure.headers["X-Credits-Charged"]) == (500, "0")
    assert (await customer.balances())["spent"] == "0.5"


async def test_a_plugin_that_streams_is_charged_as_well(paint: Gateway) -> None:
    customer = await paint.customer()

    async with paint.session.post("/api/paint?stream=1", headers=customer.fields) as answer:
        body = await answer.text()

    assert (body, answer.headers["X-Credits-Charged"]) == ("red", "0.5")
    assert (await customer.settled())["spent"] == "0.5"


async def test_a_plugin_may_redirect_and_read_bodies_as_large_as_its_route_takes(paint: Gateway) -> None:
    customer = await paint.customer()

    async with paint.session.post("/api/paint?move=1", headers=customer.fields, allow_redirects=False) as moved:
        await moved.read()
    async with paint.session.post(
        "/api/paint?size=1", data=io.BytesIO(b"x" * 3_000_000), headers=customer.fields
    ) as sized:
        size = await sized.text()

    assert (moved.status, moved.headers["Location"]) == (302, "/elsewhere")
    assert size == "3000000"
    assert (await customer.settled())["spent"] == "0.5"


async def test_what_breaks_within_an_answer_never_begins_a_second_one(paint: Gateway) -> None:
    customer = await paint.customer()
    call = (
        f"POST /api/paint?stream=1&torn=1 HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nContent-Length: 0\r\n\r\n"
    )

    async with raw.connect(paint.url) as client:
        reply = await client.ask(call.encode())

    assert (reply.status, reply.ending) == (200, "cut")
    assert b"302" not in reply.body
    assert (await customer.settled())["spent"] == "0"


async def test_a_chunked_body_beyond_a_plugins_bound_is_413(paint: Gateway) -> None:
    customer = await paint.customer()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b"x" * 1_000_000

    async with paint.session.post("/api/paint?size=1", data=body(), headers=customer.fields) as answer:
        problem = await answer.json(content_type=None)

    assert (answer.status, problem["code"], problem["bytes_max"]) == (413, "body-too-large", 5_000_000)
    assert (await customer.settled())["spent"] == "0"


async def test_a_broken_body_that_a_plugin_gathers_is_the_callers_mistake(paint: Gateway) -> None:
    customer = await paint.customer()
    head = (
        f"POST /api/paint?size=1 HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nExpect: 100-continue\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )

    async with raw.connect(paint.url) as client:
        await client.send(head.encode())
        invitation = await client.head()
        reply = await client.ask(b"5\r\nhello\r\nno size\r\n")

    assert invitation.status == 100
    assert (reply.status, reply.json()["code"]) == (400, "bad-request")
    assert (await customer.settled())["available"] == "100"


async def test_a_plugin_that_gathers_a_stalled_body_holds_nothing_for_long(start: Start) -> None:
    text = '[[routes]]\nuse = "tests.plugin:Paint"\ncolour = "red"\n'
    async with start(configuration("", routes=text, server="body_seconds = 0.3")) as gateway:
        customer = await gateway.customer()
        head = f"POST /api/paint?size=1 HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nContent-Length: 9\r\n\r\n"

        async with raw.connect(gateway.url) as client:
            reply = await client.ask(head.encode() + b"half")

        assert (reply.status, reply.json()["code"]) == (408, "request-timeout")
        assert (await customer.settled())["available"] == "100"


async def test_a_call_whose_caller_left_is_refunded_when_the_gateway_stops(
    start: Start, upstream: Upstream, database: str
) -> None:
    table = upstream_table(upstream.url, settings='max_rate = "1/d"')
    upstream.plan("*", answers.answer(200, b"x"))
    async with start(configuration(table, server="drain_seconds = 0.2")) as gateway:
        customer = await gateway.customer()
        assert await _post(gateway, customer) == 200
        async with raw.connect(gateway.url) as client:
            await client.send(post(customer))
            while (await customer.balances())["held"] == "0":
                await asyncio.sleep(0.01)
            client.reset()

    connection = await asyncpg.connect(database)
    row = await connection.fetchrow("SELECT available, held, spent FROM accounts WHERE id = $1", customer.account)
    await connection.close()
    assert tuple(row or ()) == (99_000_000, 0, 1_000_000)


async def test_a_locked_account_does_not_hold_up_the_others(start: Start, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"x"))
    async with start(configuration(upstream_table(upstream.url) + "[database]\nconnections_max = 2\n")) as gateway:
        stuck, other = await gateway.customer(), await gateway.customer()

        async with gateway.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT * FROM accounts WHERE id = $1 FOR UPDATE", stuck.account)
            calls = [asyncio.create_task(_post(gateway, stuck)) for _ in range(3)]
            statuses = [await _post(gateway, other) for _ in range(3)]
            stuck_statuses = await asyncio.gather(*calls)

        assert statuses == [200, 200, 200]
        assert set(stuck_statuses) == {503}
        assert (await stuck.settled())["available"] == "100"
        assert await gateway.violations() == {}


async def _post(gateway: Gateway, customer: Customer) -> int:
    async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
        await answer.read()
        return answer.status
