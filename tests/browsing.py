"""A person at a browser without scripts: it keeps its cookie, and sends the forms of pages with their token."""

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from ipaddress import ip_address
from typing import Any, cast
from uuid import UUID, uuid4

import aiohttp
from aiohttp import CookieJar
from multidict import CIMultiDict
from yarl import URL

from nijika.state import COOKIE, PUBLIC_URL, SESSION_LIFE, VAULT
from nijika.store import sessions, users
from tests.gateway import CHAIN, Customer, Gateway

SESSION_CHAIN = f'[[middlewares]]\nuse = "session"\n{CHAIN}'
"""The chain of tests/gateway.py, with sessions for browsers before it."""

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}


@dataclass
class Page:
    """An answer as the browser sees it."""

    status: int
    text: str
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)

    @property
    def location(self) -> str:
        """Where a redirect leads, "" without one."""
        return self.headers.get("Location", "")

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Browser:
    """One browser; `session` is the id of its signed-in session, None for a stranger."""

    gateway: Gateway
    client: aiohttp.ClientSession
    user: int | None
    session: UUID | None

    @property
    def token(self) -> str:
        """What the cookie of this browser holds against forged forms; "" while it has none."""
        text = self.cookie
        if not text:
            return ""
        cipher = self.gateway.app[VAULT].cipher("nijika session cookie")
        return cast("str", json.loads(cipher.decrypt(text))["session"].get("token", ""))

    @property
    def cookie(self) -> str:
        """The text of the session's cookie, "" without one."""
        name = self.gateway.app[COOKIE].cookie_name
        return next((morsel.value for morsel in self.client.cookie_jar if morsel.key == name), "")

    def sign_in(self, session: UUID) -> None:
        """Hold the cookie of a session, as after a sign-in."""
        self.session = session
        self._take(id=str(session), token=uuid4().hex)

    def _take(self, **members: str) -> None:
        """Hold the cookie that the application itself would have set."""
        cipher = self.gateway.app[VAULT].cipher("nijika session cookie")
        data = json.dumps({"created": int(time.time()), "session": members})
        cookie = SimpleCookie({self.gateway.app[COOKIE].cookie_name: cipher.encrypt(data.encode()).decode()})
        self.client.cookie_jar.update_cookies(cookie, URL(self.gateway.url))

    async def page(self, path: str, **headers: str) -> Page:
        """GET a page as a browser does; redirects are not followed."""
        url = URL(path, encoded=True)
        async with self.client.get(url, headers={**PAGE, **headers}, allow_redirects=False) as answer:
            return Page(answer.status, await answer.text(), CIMultiDict(answer.headers))

    async def follow(self, path: str) -> Page:
        """GET a page, and where it leads."""
        page = await self.page(path)
        while page.location:
            page = await self.page(page.location)
        return page

    async def send(
        self,
        path: str,
        form: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        *,
        token: str | None = "",
        origin: str | None = "",
        accept: str = PAGE["Accept"],
        site: str | None = None,
    ) -> Page:
        """POST a form. `token`: "" is this browser's own, None sends none; `origin`: "" is ours, None sends none.

        `site` is what the browser says in Sec-Fetch-Site.
        """
        if token == "" and not self.token:
            self._take(token=uuid4().hex)
        fields = list(form.items() if isinstance(form, Mapping) else form)
        if token is not None:
            fields.append(("token", token or self.token))
        headers = {**PAGE, "Accept": accept}
        if site is not None:
            headers["Sec-Fetch-Site"] = site
        if origin is not None:
            headers["Origin"] = origin or str(URL(self.gateway.app[PUBLIC_URL]).origin())
        async with self.client.post(
            path, data=aiohttp.FormData(fields), headers=headers, allow_redirects=False
        ) as answer:
            return Page(answer.status, await answer.text(), CIMultiDict(answer.headers))


@asynccontextmanager
async def browser(gateway: Gateway, user: int | None = None) -> AsyncIterator[Browser]:
    """A browser in which `user` is signed in, or nobody; the gateway's chain needs the link `session`."""
    jar = CookieJar(unsafe=True)  # it keeps cookies of 127.0.0.1 only if it is told to
    async with aiohttp.ClientSession(gateway.url, cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=30)) as client:
        browser = Browser(gateway, client, user, None)
        if user is not None:
            browser.sign_in(await begin(gateway, user))
        yield browser


async def begin(gateway: Gateway, user: int) -> UUID:
    """Store a session, as a sign-in does."""
    session = uuid4()
    async with gateway.pool.acquire() as connection:
        await sessions.begin(
            connection,
            session,
            user=user,
            provider="test",
            address=ip_address("127.0.0.1"),
            agent=PAGE["User-Agent"],
            life=gateway.app[SESSION_LIFE],
        )
    return session


async def person(gateway: Gateway, *, name: str = "ada", role: str = "user", email: str | None = None) -> int:
    """A user with an account without credit; returns its id."""
    async with gateway.pool.acquire() as connection, connection.transaction():
        user, _ = await users.add(connection, name=name, email=email, role=role)
    return user


async def user_of(customer: Customer) -> int:
    """The user of a customer's account."""
    user = await customer.gateway.pool.fetchval("SELECT id FROM users WHERE account = $1", customer.account)
    return cast("int", user)
