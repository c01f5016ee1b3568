"""`/ready` tells how upstreams were doing, in the form that the reference promises, and where they are to nobody."""

import asyncio

from nijika.plugins.health import Readiness
from tests.conftest import Start
from tests.gateway import configuration
from tests.peers import answers, streams
from tests.peers.upstream import Upstream
from tests.proxy.behind import LONG, free, places, table, until, worker


async def test_ready_tells_of_rests_trials_and_queues_but_no_address(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200, b"ok")))
    text = configuration(
        table("worker", upstream.url, "http://127.0.0.1:9", settings=f"concurrency = 1\n{LONG}")
        + table("spare", upstream.url)
    )
    async with start(text) as gateway:
        resting = places(gateway)[1].health
        resting.unreachable("nobody is at 127.0.0.1:9", 0)
        calls = [asyncio.create_task(free(gateway)) for _ in range(3)]
        await until(lambda: worker(gateway).waiting == 2, "two calls to wait")

        async with gateway.session.get("/ready") as answer:
            told = await answer.text()
        resting.failed_checks("answers 500", 1, hangs=False)
        resting.begin(told)
        async with gateway.session.get("/ready") as answer:
            later = Readiness.model_validate(await answer.json())
        resting.end(told)
        gate.set()
        await asyncio.gather(*calls)

    ready = Readiness.model_validate_json(told)
    assert [place.model_dump() for place in ready.upstreams["worker"]] == [
        {"state": "ok", "in_flight": 1, "failure": False},
        {"state": "resting", "in_flight": 0, "failure": True},
    ]
    assert ready.waiting == {"worker": 2, "spare": 0}
    assert ready.status == "ok", "a worker may be away on purpose"
    assert "127.0.0.1" not in told
    assert later.upstreams["worker"][1].state == "trial"
