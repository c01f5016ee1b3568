"""A visitor who signs in: what a browser does between the gateway's button and its callback, without a browser."""

from html.parser import HTMLParser

import aiohttp
from yarl import URL

from tests.providers.provider import Provider

REDIRECTS_MAX = 10


class StoppedError(Exception):
    """The way ended early, at an answer that leads nowhere."""

    def __init__(self, url: URL, status: int, text: str) -> None:
        super().__init__(f"{url.origin()}{url.path} answered {status}: {text[:500]}")
        self.url = url
        self.status = status
        self.text = text


class Buttons(HTMLParser):
    """The buttons of a page: their words by their name and value."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: dict[tuple[str, str], str] = {}
        self._open: tuple[str, str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "button":
            return
        fields = dict(attrs)
        self._open = (fields.get("name") or "", fields.get("value") or "")
        self.words[self._open] = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.words[self._open] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "button":
            self._open = None


async def sign_in(
    session: aiohttp.ClientSession, start_url: str | URL, provider: Provider, person: int | None = 1
) -> aiohttp.ClientResponse:
    """Signs in and follows the callback to its end; the answer's body is read, its `history` holds the redirects."""
    answer = await session.get(await authorise(session, start_url, provider, person))
    await answer.read()
    return answer


async def authorise(
    session: aiohttp.ClientSession, start_url: str | URL, provider: Provider, person: int | None = 1
) -> URL:
    """Goes from `start_url` to the provider, presses the person's button (None: Cancel), and stops on the way back.

    Returns the URL to which the provider sends the visitor, unfetched: the callback with code and state, or with
    error. Raises StoppedError where an answer is neither a redirect nor the provider's page.
    """
    url, arrived = URL(start_url), False
    for _ in range(REDIRECTS_MAX):
        at_provider = url.origin() == URL(provider.url)
        if arrived and not at_provider:
            return url
        arrived = at_provider
        async with session.get(url, allow_redirects=False) as answer:
            location, page = answer.headers.get("Location"), await answer.text()
        if not location and url.path.startswith("/_interaction/"):
            location = await _press(session, url, page, person)
        if not location:
            raise StoppedError(url, answer.status, page)
        url = url.join(URL(location, encoded=True))
    raise StoppedError(url, answer.status, f"more than {REDIRECTS_MAX} redirects")


async def _press(session: aiohttp.ClientSession, url: URL, page: str, person: int | None) -> str:
    button = ("cancel", "yes") if person is None else ("login", str(person))
    buttons = Buttons(page).words
    assert button in buttons, f"{button} is not among {list(buttons)}"
    async with session.post(url, data=[button], allow_redirects=False) as answer:
        return answer.headers["Location"]
