"""Hears from PostgreSQL which keys have changed, on a connection of its own, and makes the keyring forget them."""

import asyncio
import logging
import random
import time
from contextlib import suppress

import asyncpg

from nijika.store.keyring import LIFE_SECONDS, Keyring

CHANNEL = "nijika_keys"
"""Migration 0009 tells on it: the digest of a key in hexadecimal digits, or nothing for any key."""

APPLICATION = "nijika keys"
"""What the connection is called in pg_stat_activity."""

ANSWER_SECONDS = 5.0
PROBE_SECONDS = 5.0
CLOSE_SECONDS = 1.0
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.1, 2.0

log = logging.getLogger("nijika.store")


class Listener:
    """Listens at `url`, which must lead to PostgreSQL itself, for as long as it runs.

    While it does not hear, a key that was revoked is refused when what the keyring has read of it is too old.
    """

    def __init__(self, url: str, keyring: Keyring) -> None:
        self._url = url
        self._keyring = keyring
        self._pause = PAUSE_SECONDS
        self._deaf_since: float | None = None

    @property
    def away(self) -> bool:
        """Whether nothing is heard, although it was tried."""
        return self._deaf_since is not None

    async def run(self) -> None:
        """Listen until cancelled; a connection that broke, or that says nothing any more, is followed by the next."""
        while True:
            try:
                await self._listen()
            except Exception as error:  # whatever it is, nothing is heard
                self._complain(error)
            await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311 (spreads retries; no secret)
            self._pause = min(self._pause * 2, PAUSE_SECONDS_MAX)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._url,
            timeout=ANSWER_SECONDS,
            command_timeout=ANSWER_SECONDS,
            server_settings={"application_name": APPLICATION},
        )
        try:
            broken = asyncio.Event()
            connection.add_termination_listener(lambda _: broken.set())
            await connection.add_listener(CHANNEL, self._hear)
            self._begin()
            while True:
                await _until(broken)
                # A peer that vanished without a word is found out by this alone.
                await connection.execute("SELECT 1")
                self._pause = PAUSE_SECONDS
        except asyncio.CancelledError:
            with suppress(Exception):  # an error here would take the place of the cancellation
                await connection.close(timeout=CLOSE_SECONDS)
            raise
        finally:
            connection.terminate()

    def _begin(self) -> None:
        """What was told before is lost."""
        self._keyring.forget()
        if self._deaf_since is not None:
            log.warning("changes of keys are heard again after %d s", time.monotonic() - self._deaf_since)
            self._deaf_since = None

    def _hear(self, _connection: object, _pid: int, _channel: str, text: object) -> None:
        try:
            digest = bytes.fromhex(str(text))
        except ValueError:
            digest = b""
        self._keyring.forget(digest or None)

    def _complain(self, error: Exception) -> None:
        if self._deaf_since is not None:
            return
        self._deaf_since = time.monotonic()
        log.warning(
            "changes of keys are not heard: a revoked one may be good for %g s more (%s)",
            LIFE_SECONDS,
            error or type(error).__name__,
        )


async def _until(broken: asyncio.Event) -> None:
    """PROBE_SECONDS at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PROBE_SECONDS):
            await broken.wait()
