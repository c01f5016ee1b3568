"""Ports that stay ours while nobody listens on them."""

import random
import socket

from tests.crash.plan import LOOPBACK

# Below those that Linux, macOS and Windows give to outgoing connections: one of these could take the port of a gateway
# that is just being started again.
_PORTS = range(15_000, 32_000)


def free() -> int:
    """A port on which nobody listens now."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
