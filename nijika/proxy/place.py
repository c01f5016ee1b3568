"""One address of an upstream: how busy it is, whether it rests, and how it is woken."""

import asyncio
import logging
import time

import aiohttp
from yarl import URL

from nijika.errors import UpstreamFailed, UpstreamUnavailable

REST_SECONDS = 5.0
"""An address that could not be connected to is passed over for this long, unless all of them rest."""

FRESH_SECONDS = 10.0
"""A worker that answered well this recently has not been scaled to zero."""

WAKE_PAUSE_SECONDS = 0.5

UNAUTHORIZED = frozenset({401, 407})
"""What these refuse are the gateway's own credentials: a caller's never get here."""

_MAY_PASS = frozenset({408, 425, 429})
"""Of what a client is told, what may be over in a moment; the rest says that nobody will ever wake there."""

log = logging.getLogger("nijika.upstream")


class Place:
    """One base URL; `in_flight` counts its exchanges, `failure` is its last fault in words ("" when fine)."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        self.in_flight = 0
        self.failure = ""
        self._rests_until = 0.0
        self._fresh_until = 0.0
        self._waking: asyncio.Task[None] | None = None

    @property
    def rests(self) -> bool:
        """Whether it failed to connect a moment ago."""
        return time.monotonic() < self._rests_until

    @property
    def is_fresh(self) -> bool:
        """Whether it answered well a moment ago."""
        return time.monotonic() < self._fresh_until

    def url(self, target: str) -> URL:
        """Where `target` (path and query, in wire form) lies here; never another host."""
        return URL(self.base + target, encoded=True)

    def holds(self, url: URL) -> bool:
        """Whether `url` lies below the base. Raises ValueError for one that has no origin."""
        base = URL(self.base, encoded=True)
        return url.origin() == base.origin() and url.raw_path.startswith(base.raw_path.rstrip("/") + "/")

    def failed(self, failure: str) -> None:
        """Let it rest: nobody is there."""
        self.failure = failure
        self._rests_until = time.monotonic() + REST_SECONDS
        self._fresh_until = 0.0

    def answered(self, status: int) -> None:
        """Note that somebody is there; a 503 means that it is not ready."""
        ready = status != 503  # noqa: PLR2004 (Service Unavailable)
        self.failure = "" if ready else "answers 503"
        self._rests_until = 0.0
        self._fresh_until = time.monotonic() + FRESH_SECONDS if ready else 0.0

    async def wake(self, session: aiohttp.ClientSession, path: str, seconds: float) -> None:
        """Return once GET `path` was answered with 2xx; UpstreamUnavailable after `seconds`, UpstreamFailed if refused.

        All who wait share one knocking, which goes on when one of them leaves.
        """
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._knock(session, path, seconds))
        await asyncio.shield(self._waking)

    async def close(self) -> None:
        """Stop knocking."""
        if self._waking is not None:
            self._waking.cancel()
            await asyncio.wait([self._waking])

    async def _knock(self, session: aiohttp.ClientSession, path: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await self._is_ready(session, path):
                    await asyncio.sleep(WAKE_PAUSE_SECONDS)
        except TimeoutError:
            self.failed(f"does not wake: {self.failure}" if self.failure else "does not wake")
            log.warning("%s %s", self.base, self.failure)
            raise UpstreamUnavailable(retry_after=30) from None
        self.answered(200)

    async def _is_ready(self, session: aiohttp.ClientSession, path: str) -> bool:
        try:
            async with session.get(self.url(path), allow_redirects=False) as answer:
                if 200 <= answer.status < 300:  # noqa: PLR2004 (2xx)
                    return True
                self.failure = f"answers {answer.status} to {path}"
                if answer.status in UNAUTHORIZED:
                    self.failure += ": see its headers in config.toml"
                if 400 <= answer.status < 500 and answer.status not in _MAY_PASS:  # noqa: PLR2004 (4xx)
                    log.warning("%s %s", self.base, self.failure)
                    raise UpstreamFailed
                return False
        except aiohttp.ClientError as error:
            self.failure = str(error)
            return False


def base_url(text: str) -> str:
    """`text` if it can be a place's base: http or https, a host, perhaps a path; ValueError, a sentence, if not."""
    try:
        url = URL(text)
        port_is_valid = url.port is not None
    except ValueError:
        port_is_valid = False
    if (
        not port_is_valid
        or url.scheme not in {"http", "https"}
        or not url.host
        or url.query_string
        or url.fragment
        or url.user
    ):
        raise ValueError(f'"{text}" must be an address such as "http://127.0.0.1:8001"')
    return text
