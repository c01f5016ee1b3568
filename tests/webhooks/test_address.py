"""A webhook leads to the public internet only, and the checked address is the one that is dialled."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from yarl import URL

from nijika.store.attempts import Answer, Attempt
from nijika.webhooks.address import Addresses, BadAddress, is_public
from nijika.webhooks.names import FORMS_MAX
from nijika.webhooks.sender import Sender
from tests.webhooks.receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]

REFUSED = [
    "",
    "example.com/hook",
    "//example.com/hook",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "data:text/plain,hello",
    "https:///hook",
    "https://xn--/",
    "https://xn--a.example/",
    "https://xn--zz-.com/",
    "https://example.com/" + "ü" * 400,
    "https://[::1",
    "https://" + "a" * 3000 + ".com/",
    "https://..../",
    "https://exa mple.com/",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\t/",
    "https://example.com/\r\nX-Evil: 1",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://user:password@example.com/",
    "https://@example.com/",
    "https://8.8.8.8@127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://127。0。0。1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127%2e0%2e0%2e1/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://100.100.100.200/latest/meta-data/",
    "https://169.254.169.254/latest/meta-data/",
    "https://192.0.0.192/opc/v2/instance/",
    "https://168.63.129.16/metadata/",
    "https://192.0.2.1/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::]/",
    "https://[::1]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[ff02::1]/",
]


def names(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A name server that gives one answer after the other, the last one for ever."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def unasked() -> Addresses:
    async def resolve(host: str, _port: int) -> Sequence[str]:
        raise AssertionError(f"{host} was looked up")

    return Addresses(resolve=resolve)


def attempt(url: str) -> Attempt:
    return Attempt(1, uuid4(), 1, url, (b"",), UUID(int=7), "webhook.test", "{}", datetime.now(UTC), 1)


async def send(addresses: Addresses, url: str) -> Answer:
    async with Sender(addresses, timeout_seconds=5) as sender:
        return await sender.send(attempt(url), [SECRET])


@pytest.mark.parametrize("url", REFUSED)
async def test_a_hostile_address_is_refused_when_it_is_set_and_when_it_is_sent_to(url: str) -> None:
    with pytest.raises(BadAddress):
        await unasked().check(url, 1)
    answer = await send(unasked(), url)

    assert answer.status is None
    assert answer.error is not None
    assert answer.error.startswith("The address ")


@pytest.mark.parametrize("url", ["http://example.com/hook", "http://8.8.8.8/", "http://127.0.0.1/"])
async def test_plain_http_is_refused_without_the_operators_word(url: str) -> None:
    with pytest.raises(BadAddress, match="must begin with https"):
        await unasked().check(url, 1)


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"], ["2606:4700::1", "::ffff:10.0.0.1"], ["fe80::1%1"]]
)
async def test_a_name_that_leads_to_any_private_address_is_refused(found: list[str]) -> None:
    with pytest.raises(BadAddress, match="not on the public internet"):
        await Addresses(resolve=names(found)).check("https://example.com/hook", 1)
    answer = await send(Addresses(resolve=names(found)), "https://example.com/hook")

    assert (answer.status, answer.error) == (None, "The address leads to a place that is not on the public internet.")


async def test_a_name_that_is_not_found_is_refused_with_a_sentence() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror("Name or service not known")

    with pytest.raises(BadAddress, match="cannot be looked up"):
        await Addresses(resolve=resolve).check("https://example.com/hook", 1)
    assert (await send(Addresses(resolve=resolve), "https://example.com/")).error == (
        "The host name of the address cannot be looked up."
    )


async def test_a_name_that_changes_its_mind_after_the_check_is_not_followed(receiver: Receiver) -> None:
    """The page saw a public address; when the message is sent, the same name leads to this machine."""
    port = URL(receiver.url).port
    addresses = Addresses(resolve=names(["93.184.216.34"], ["127.0.0.1"]))
    url = str(await addresses.check(f"https://rebinding.example:{port}/hook", 1))

    answer = await send(addresses, url)

    assert answer.error == "The address leads to a place that is not on the public internet."
    assert receiver.got == []


class Tarpit:
    """Name servers that say nothing about names in `silent.example`: for so long the system's look-up has a thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.gives_up = threading.Event()
        self._look_up = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: str, *arguments: Any, **more: Any) -> Any:
        if host.endswith(".silent.example"):
            self.asked.append(host)
            self.gives_up.wait(30)
            raise socket.gaierror("Temporary failure in name resolution")
        return self._look_up(host, *arguments, **more)


async def test_silent_name_servers_hold_up_the_messages_of_nobody_else(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever fills in forms, from however many accounts, gets the threads of forms, and messages their own."""
    tarpit = Tarpit(monkeypatch)
    monkeypatch.setattr("nijika.webhooks.address.LOOK_UP_SECONDS", 0.05)
    addresses = Addresses([ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")])
    for account in range(FORMS_MAX + 4):
        with pytest.raises(BadAddress, match="cannot be looked up"):
            await addresses.check("https://a.silent.example/", account)

    answer = await send(addresses, receiver.url.replace("127.0.0.1", "localhost"))
    tarpit.gives_up.set()

    assert answer.status == 204


async def test_an_account_has_one_look_up_under_way_and_others_have_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    tarpit = Tarpit(monkeypatch)
    monkeypatch.setattr("nijika.webhooks.address.LOOK_UP_SECONDS", 0.05)
    addresses = Addresses()
    for account in (1, 2):
        with pytest.raises(BadAddress, match="cannot be looked up"):
            await addresses.check("https://a.silent.example/", account)
    with pytest.raises(BadAddress, match="being looked up"):
        await addresses.check("https://b.silent.example/", 1)
    asked = list(tarpit.asked)

    tarpit.gives_up.set()
    async with asyncio.timeout(10):
        while "b.silent.example" not in tarpit.asked:
            with pytest.raises(BadAddress):
                await addresses.check("https://b.silent.example/", 1)
            await asyncio.sleep(0.01)
    addresses.close()

    assert asked == ["a.silent.example"] * 2


async def test_what_was_judged_is_what_is_dialled(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look-up a message: a second one could tell another story."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    def elsewhere(*_: object, **__: object) -> list[object]:
        raise AssertionError("the system's resolver was asked")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", elsewhere, raising=False)
    answer = await send(Addresses(LOOPBACK, resolve), receiver.url.replace("127.0.0.1", "inside.example"))

    assert answer.status == 204
    assert asked == ["inside.example"]
    assert receiver.got[0].headers["Host"].startswith("inside.example:")


async def test_what_the_operator_allows_is_allowed_and_nothing_beside_it(receiver: Receiver) -> None:
    here = [ipaddress.ip_network("127.0.0.1/32")]

    assert (await send(Addresses(here), receiver.url)).status == 204
    assert Addresses(here).parse("http://[::ffff:127.0.0.1]/")
    for url in ("https://127.0.0.2/", "https://10.0.0.1/", "https://169.254.169.254/", "http://8.8.8.8/"):
        with pytest.raises(BadAddress):
            await Addresses(here).check(url, 1)
    with pytest.raises(BadAddress):
        # http is for those networks alone, whatever a name says.
        await Addresses(here, names(["93.184.216.34"])).check("http://example.com/", 1)
    assert await Addresses(here, names(["93.184.216.34"])).check("https://example.com/", 1)


async def test_no_proxy_of_the_environment_is_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert (await send(Addresses(LOOPBACK), receiver.url)).status == 204


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


async def test_an_address_is_kept_in_one_reading() -> None:
    addresses = Addresses(resolve=names(["8.8.8.8"]))

    assert str(await addresses.check("HTTPS://Example.COM:443/a?b=c#d", 1)) == "https://example.com/a?b=c"
