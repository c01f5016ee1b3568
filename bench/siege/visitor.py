"""Somebody who is signed in: without a provider at hand, the session is written into the database."""

import argparse
import json
import time
from ipaddress import ip_address
from pathlib import Path

from nijika import request_id
from nijika.commands.setting import Work, user, working
from nijika.pages.cookie import NAME
from nijika.store import sessions
from nijika.store.sessions import Life

DAY_SECONDS = 86_400
TOKEN = "t"  # noqa: S105 (it guards nothing here)
"""What the forms of this session carry."""


def visitor(file: Path, name: str) -> str:
    """The cookie of a new session of a user."""

    async def begin(work: Work) -> str:
        session = request_id.make()
        await sessions.begin(
            work.connection,
            session,
            user=(await user(work, name))["id"],
            provider="demo",
            address=ip_address("127.0.0.1"),
            agent="siege",
            life=Life(DAY_SECONDS, DAY_SECONDS),
        )
        told = {"created": int(time.time()), "session": {"id": str(session), "token": TOKEN}}
        return work.vault.cipher("nijika session cookie").encrypt(json.dumps(told).encode()).decode()

    return f"{NAME}={working(argparse.Namespace(config=file, data=None), begin)}"
