"""What no page may do: report an error, break its own CSP, or ask a stranger for anything."""

import re
from dataclasses import dataclass, field

from playwright.async_api import BrowserContext, ConsoleMessage, Request, WebError
from yarl import URL

# The console tells most violations, the event all of them.
TELL = """document.addEventListener("securitypolicyviolation", (event) => console.error(
    `CSP: ${event.effectiveDirective} forbids ${event.blockedURI || "this"} on ${event.documentURI}`))"""


@dataclass
class Watch:
    """The complaints about the pages of one test."""

    complaints: list[str] = field(default_factory=list)
    origins: set[URL] = field(default_factory=set)
    _expected: list[str] = field(default_factory=list)

    def allow(self, *urls: str | URL) -> None:
        """Lets pages load from the origins of these addresses: the gateway, and the providers where they are met."""
        self.origins |= {URL(url).origin() for url in urls}

    def expect(self, pattern: str) -> None:
        """Forgives the complaints in which this pattern is found, of which there has to be one."""
        self._expected.append(pattern)

    async def over(self, context: BrowserContext) -> None:
        """Watches all pages of a visitor from now on."""
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)
        await context.add_init_script(TELL)

    def verdict(self) -> list[str]:
        """What has to be complained about in the end."""
        unforgiven = [text for text in self.complaints if not any(re.search(known, text) for known in self._expected)]
        missed = [known for known in self._expected if not any(re.search(known, text) for text in self.complaints)]
        return unforgiven + [f"there was no complaint like {known!r}" for known in missed]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} ({message.location['url']})")

    def _error(self, error: WebError) -> None:
        self.complaints.append(f"page error: {error.error}")

    def _request(self, request: Request) -> None:
        url = URL(request.url)
        if url.scheme in {"http", "https", "ws", "wss"} and url.origin() not in self.origins:
            self.complaints.append(f"request to {url.origin()}, which no watch.allow() names: {request.url}")
