"""Requests that a careful gateway refuses by itself, each with the answers that count as a refusal."""

from tests.peers.malformed.case import Malformed
from tests.peers.malformed.chunks import CHUNKS
from tests.peers.malformed.framing import FRAMING
from tests.peers.malformed.heads import HEADS
from tests.peers.malformed.hosts import HOSTS
from tests.peers.malformed.targets import TARGETS

MALFORMED: list[Malformed] = [*FRAMING, *CHUNKS, *HEADS, *HOSTS, *TARGETS]

__all__ = ["MALFORMED", "Malformed"]
