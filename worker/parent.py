"""Notices that the process which started this one is gone, so that no child is left behind."""

import asyncio
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 1


async def outlive(stop: asyncio.Event) -> None:
    """Set `stop` when the parent dies. Linux tells at once (prctl(2)), other systems are asked every second.

    The kernel's signal follows the parent's thread: start the worker from a thread that lives as long as the parent.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # Asked on Linux too: the parent may have died before the kernel was told.
    while os.getppid() == parent:
        await asyncio.sleep(_POLL_SECONDS)
    stop.set()
