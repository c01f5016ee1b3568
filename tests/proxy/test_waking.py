"""A worker that does not wake is passed over, as one that cannot be connected to: nothing was sent to it."""

from tests.conftest import Start
from tests.gateway import configuration
from tests.peers import answers
from tests.peers.upstream import Upstream
from tests.proxy.behind import paid, table

GOOD = answers.answer(200, b"cut-out")


async def test_where_one_address_does_not_wake_another_one_gets_the_call(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", GOOD)
    async with Upstream.start() as asleep:
        asleep.plan("*", answers.starting())
        text = table("worker", asleep.url, upstream.url, settings='wake = { path = "/ready", seconds = 0.5 }')
        async with start(configuration(text)) as gateway:
            customer = await gateway.customer()

            answered = await paid(customer, b"p" * 400_000)

            assert answered.status == 200
            assert (await customer.settled())["spent"] == "1"
