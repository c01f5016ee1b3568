"""Ports on which contenders listen."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below those that Linux gives to outgoing connections: one of these could take the port of who is just starting.
_PORTS = range(15_000, 32_000)


def free() -> int:
    """A port of the loopback on which nobody listens now."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
