"""Every wait in the tests ends, and one that lasted too long says what it waited for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE_SECONDS = 10.0


@asynccontextmanager
async def within(what: str, seconds: float = PATIENCE_SECONDS) -> AsyncIterator[None]:
    """Bounds the block; raises AssertionError with `what` when it takes longer than `seconds`."""
    bound = asyncio.timeout(seconds)
    try:
        async with bound:
            yield
    except TimeoutError:
        if not bound.expired():
            raise
        raise AssertionError(f"waited {seconds:g} s for {what}") from None
