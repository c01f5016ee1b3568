"""One of several processes is killed under load: its calls are lost and refunded, and nobody else notices."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg

from nijika.ledger.verify import verify
from tests.local.served import PATH, call, customer, served
from tests.peers import answers, raw, streams
from tests.peers.upstream import Upstream

CALLERS = 16
LATER = 20
CREDIT = 1_000_000
LOST = 0  # in place of a status


async def test_only_the_calls_of_the_one_that_is_killed_are_lost_and_all_of_those_are_refunded(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200, b"cut-out")))
    fields = await customer(database)
    asked = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {fields['X-API-Key']}\r\nContent-Length: 1\r\n\r\np".encode()
    )
    async with served(tmp_path, database, upstream.url, lease_seconds=2) as gateway, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw.connect(gateway.url)) for _ in range(CALLERS)]
        for client in clients:
            await client.send(asked)
        await upstream.until(lambda: len(upstream.seen) == CALLERS)

        os.kill(min(gateway.children()), signal.SIGKILL)
        later = [asyncio.create_task(call(gateway.url, fields)) for _ in range(LATER)]
        await upstream.until(lambda: len(upstream.seen) == CALLERS + LATER)
        gate.set()
        first = [await status(client) for client in clients]
        kept = [client for client, code in zip(clients, first, strict=True) if code != LOST]
        second = [(await client.ask(asked)).status for client in kept]
        told = await asyncio.gather(*later)
        lost = first.count(LOST)
        owners, spent, violations = await books(database, lost)

    assert set(first) == {LOST, 200}
    assert (set(second), set(told)) == ({200}, {200})
    assert (owners, spent) == (1, (2 * len(kept) + LATER) * CREDIT)
    assert not violations


async def status(client: raw.Client) -> int:
    """The status of the answer that is due, or LOST if the connection ends instead."""
    try:
        return (await client.reply()).status
    except AssertionError as error:
        if "the connection was" not in str(error):
            raise
        return LOST


async def books(database: str, refunds: int) -> tuple[int, int, dict[str, int]]:
    """Once there are so many refunds: whose charges those were, what was spent, and what does not add up."""
    connection = await asyncpg.connect(database)
    async with asyncio.timeout(30):
        while await connection.fetchval("SELECT count(*) FROM charges WHERE state = 'refunded'") < refunds:
            await asyncio.sleep(0.05)
    owners = await connection.fetchval("SELECT count(DISTINCT owner) FROM charges WHERE state = 'refunded'")
    spent = await connection.fetchval("SELECT spent FROM accounts")
    violations = {name: count for name, count in (await verify(connection)).items() if count}
    await connection.close()
    return owners, spent, violations
