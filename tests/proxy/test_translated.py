"""A body that is written anew counts as sent only if all of it could be."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from nijika.errors import BadRequest
from nijika.proxy.inbound import Inbound
from nijika.proxy.translated import Translated


class Whole:
    """A caller's body that has arrived in full."""

    complete = True
    failure = None
    is_replayable = True


async def _half() -> AsyncIterator[bytes]:
    yield b"half"
    raise BadRequest("the rest cannot be translated")


async def _all() -> AsyncIterator[bytes]:
    yield b"all"


async def test_what_could_not_be_translated_was_never_sent_whole_and_is_not_sent_again() -> None:
    """Else a worker that answers early would be paid for half of a body."""
    body = Translated(cast("Inbound", Whole()), _half)

    with pytest.raises(BadRequest):
        [piece async for piece in body.chunks()]

    assert not body.complete
    assert not body.is_replayable
    assert isinstance(body.failure, BadRequest)


async def test_what_was_translated_is_as_complete_as_what_came() -> None:
    body = Translated(cast("Inbound", Whole()), _all)

    assert [piece async for piece in body.chunks()] == [b"all"]
    assert body.complete
    assert body.is_replayable
    assert body.failure is None
