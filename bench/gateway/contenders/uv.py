"""uvloop for those contenders, and the upstream, that are Python; nijika brings what it needs itself."""

import os

from bench.gateway.programs import wheel

UVLOOP = "uvloop 0.23.0"


def uvloop() -> dict[str, str]:
    """The variables of a process of this Python that finds uvloop. Raises Unavailable."""
    folder = wheel(UVLOOP.replace(" ", "=="))
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}
