"""Sends one message to one receiver: signed, to a checked address, within its time, with no trust in the answer."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

import aiohttp
from aiohttp import hdrs

from nijika.store.attempts import Answer, Attempt
from nijika.webhooks import message, signature
from nijika.webhooks.address import Addresses, BadAddress

AGENT = "nijika-webhooks"
GONE = 410
DRAIN_BYTES_MAX = 16_384
DRAIN_SECONDS = 2.0


class Sender:
    """Sends each message within `timeout_seconds`, by a connection of its own. An async context manager."""

    def __init__(self, addresses: Addresses, *, timeout_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self.addresses = addresses
        self.timeout_seconds = timeout_seconds
        self._clock = clock
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        self._sessions = {scheme: self._session(scheme) for scheme in ("https", "http")}
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions.values():
            await session.close()
        self.addresses.close()

    async def send(self, attempt: Attempt, secrets: Sequence[str]) -> Answer:
        """POST the message, signed with each of the secrets; whatever goes wrong is in the answer."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        status, error, retry_after = None, None, None
        try:
            response = await self._post(attempt, secrets)
        except (BadAddress, aiohttp.ClientError, OSError, ValueError) as failure:
            error = self._sentence(failure)
        else:
            status, retry_after = response.status, _retry_after(response.headers)
            error = _complaint(status)
        milliseconds = round(1000 * (loop.time() - began))
        if status is not None:
            await _drain(response)
        return Answer(milliseconds, status, error, retry_after)

    async def _post(self, attempt: Attempt, secrets: Sequence[str]) -> aiohttp.ClientResponse:
        url = self.addresses.parse(attempt.url)
        body = message.body(attempt.event, attempt.happened_at, attempt.data)
        fields = signature.fields(secrets, message.name(attempt.message), body, int(self._clock()))
        async with asyncio.timeout(self.timeout_seconds):
            return await self._sessions[url.scheme].post(url, data=body, headers=fields, allow_redirects=False)

    def _sentence(self, failure: Exception) -> str:
        """For the account's holder."""
        match failure:
            case BadAddress():
                return str(failure)
            case TimeoutError():
                return f"No answer came within {self.timeout_seconds:g} seconds."
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                return "The certificate of the server is not valid for this address."
            case aiohttp.ClientConnectorDNSError():
                return "The host name of the address cannot be looked up."
            case aiohttp.ClientConnectorError():
                return "No connection to the server could be made."
        return "The connection broke, or the answer was no HTTP."

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self.addresses.resolver(scheme), use_dns_cache=False, force_close=True, limit=0
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={hdrs.USER_AGENT: AGENT, hdrs.CONTENT_TYPE: "application/json", hdrs.ACCEPT_ENCODING: "identity"},
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
        )


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Let the receiver say to the end what it says, within bounds; nobody reads it."""
    count = 0
    with suppress(aiohttp.ClientError, OSError):  # what counts is here already
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in response.content.iter_any():
                count += len(chunk)
                if count > DRAIN_BYTES_MAX:
                    break
    response.close()


def _complaint(status: int) -> str | None:
    if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110, 15.3
        return None
    if 300 <= status < 400:  # noqa: PLR2004 - RFC 9110, 15.4
        return f"The server answered {status}: redirects are not followed."
    if status == GONE:
        return "The server answered 410: it wants no more messages."
    return f"The server answered {status}."


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Whole seconds; a date is left alone (RFC 9110, 10.2.3)."""
    text = headers.get(hdrs.RETRY_AFTER, "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004
