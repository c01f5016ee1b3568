"""The page of webhooks: added, tested, changed, rotated, stopped and removed by their holder, and by nobody else."""

import re

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
