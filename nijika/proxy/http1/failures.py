"""What goes wrong between the gateway and a worker; the rest of the proxy makes problems of it."""


class Unreachable(Exception):
    """No connection came about, so nothing was sent; `hangs` tells whether that was waited for in vain."""

    def __init__(self, reason: str, *, hangs: bool = False) -> None:
        super().__init__(reason)
        self.hangs = hangs


class Broken(Exception):
    """The exchange broke off: the worker spoke no HTTP, fell silent for ever, or could not be sent everything."""
