"""What docs/webhooks.md shows is what is sent, and its receiver in Python takes it."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from nijika.webhooks import news
from tests.webhooks.conftest import Holder
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_balance import below

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def shown() -> dict[str, Any]:
    """The sample payloads by their type."""
    samples = [json.loads(line) for line in re.findall(r'^\{"type".*\}$', TEXT, re.MULTILINE)]
    return {sample["type"]: sample for sample in samples}


async def test_the_samples_have_the_members_that_are_sent(ada: Holder, receiver: Receiver) -> None:
    await ada.hook(receiver.url)
    await below(ada, "50")
    await below(ada, "1", event="balance.exhausted")

    await ada.pay("1")
    await ada.pay("-100.5")
    async with ada.gateway.pool.acquire() as connection:
        await news.test(connection, ada.customer.account, 1)
    sent = {got.json["type"]: got.json for got in await receiver.count(5)}

    assert {*sent} == {*news.EVENTS, news.TEST} == {*shown()}
    for event, sample in shown().items():
        assert [*sample] == [*sent[event]]
        assert [*sample["data"]] == [*sent[event]["data"]]
        assert len(sample["timestamp"]) == len(sent[event]["timestamp"])


async def test_the_receiver_in_python_takes_a_message_and_refuses_a_forged_one(
    ada: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {"__name__": "program"}
    exec(program, names)
    async with TestServer(names["app"]) as server:
        _, secret = await ada.hook(str(server.make_url("/hooks/credits")))
        monkeypatch.setenv("WEBHOOK_SECRET", secret)
        await ada.pay("1")
        (row,) = await ada.ended()
        monkeypatch.setenv("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        await ada.pay("1")
        async with asyncio.timeout(15):
            while (late := (await ada.deliveries())[1])["status"] is None:
                await asyncio.sleep(0.01)

    assert (row["state"], row["status"]) == ("delivered", 204)
    assert (late["state"], late["status"]) == ("waiting", 401)
