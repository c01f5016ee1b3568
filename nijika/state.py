"""Every key under which the application and a request keep something, and nothing else."""

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from aiohttp import web
from aiohttp_session import AbstractStorage

from nijika.database import Pool
from nijika.errors import Problem
from nijika.ledger import Bill, Fingerprint, Ledger
from nijika.ledger.lease import Lease
from nijika.limits.shared import Shared
from nijika.login.sign_in import SignIn
from nijika.proxy.upstream import Upstream
from nijika.route import Match, Route, Routes
from nijika.standing import Standing
from nijika.store.keyring import Keyring
from nijika.store.keys import Key
from nijika.store.listener import Listener
from nijika.store.sessions import Life, Visitor
from nijika.store.vault import Vault
from nijika.webhooks.courier import Courier

STANDING: web.AppKey[Standing] = web.AppKey("STANDING", Standing)
POOL: web.AppKey[Pool] = web.AppKey("POOL")
LEASE: web.AppKey[Lease] = web.AppKey("LEASE", Lease)
LEDGER: web.AppKey[Ledger] = web.AppKey("LEDGER", Ledger)
KEYRING: web.AppKey[Keyring] = web.AppKey("KEYRING", Keyring)
LISTENER: web.AppKey[Listener | None] = web.AppKey("LISTENER")
VAULT: web.AppKey[Vault] = web.AppKey("VAULT", Vault)
ROUTES: web.AppKey[Routes] = web.AppKey("ROUTES", Routes)
REFUSALS: web.AppKey[Callable[[Route], list[type[Problem]]]] = web.AppKey("REFUSALS")
ADDITIONS: web.AppKey[Callable[[Route], list[str]]] = web.AppKey("ADDITIONS")
UPSTREAMS: web.AppKey[dict[str, Upstream]] = web.AppKey("UPSTREAMS", dict[str, Upstream])
SHARED: web.AppKey[dict[str, Shared]] = web.AppKey("SHARED", dict[str, Shared])
PUBLIC_URL: web.AppKey[str] = web.AppKey("PUBLIC_URL", str)
SIGN_IN: web.AppKey[SignIn] = web.AppKey("SIGN_IN", SignIn)
COOKIE: web.AppKey[AbstractStorage] = web.AppKey("COOKIE", AbstractStorage)
SESSION_LIFE: web.AppKey[Life] = web.AppKey("SESSION_LIFE", Life)
DEMO_USER: web.AppKey[int] = web.AppKey("DEMO_USER", int)
COURIER: web.AppKey[Courier] = web.AppKey("COURIER", Courier)
BODY_SECONDS: web.AppKey[float] = web.AppKey("BODY_SECONDS", float)
GAUGED: web.AppKey[list[Callable[[], None]]] = web.AppKey("GAUGED", list[Callable[[], None]])

REQUEST_ID: web.RequestKey[UUID] = web.RequestKey("REQUEST_ID", UUID)
TASK: web.RequestKey["asyncio.Task[Any]"] = web.RequestKey("TASK")
BEGAN: web.RequestKey[float] = web.RequestKey("BEGAN", float)
OWN_SECONDS: web.RequestKey[float] = web.RequestKey("OWN_SECONDS", float)
PATH: web.RequestKey[str] = web.RequestKey("PATH", str)
QUERY: web.RequestKey[str] = web.RequestKey("QUERY", str)
PEER: web.RequestKey[IPv4Address | IPv6Address] = web.RequestKey("PEER")
CLIENT_IP: web.RequestKey[IPv4Address | IPv6Address] = web.RequestKey("CLIENT_IP")
MATCH: web.RequestKey[Match] = web.RequestKey("MATCH", Match)
LIMIT_FIELDS: web.RequestKey[dict[str, str]] = web.RequestKey("LIMIT_FIELDS", dict[str, str])
KEY: web.RequestKey[Key] = web.RequestKey("KEY", Key)
VISITOR: web.RequestKey[Visitor] = web.RequestKey("VISITOR", Visitor)
FINGERPRINT: web.RequestKey[Fingerprint] = web.RequestKey("FINGERPRINT", Fingerprint)
DELIVERED: web.RequestKey[Callable[[bool], None]] = web.RequestKey("DELIVERED")
BILL: web.RequestKey[Bill] = web.RequestKey("BILL", Bill)
CODE: web.RequestKey[str] = web.RequestKey("CODE", str)
