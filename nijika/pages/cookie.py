"""The visitor's cookie: encrypted, for this site alone; it holds a session's id and a token against forged forms."""

import base64
import json
import secrets
from functools import partial
from uuid import UUID

import aiohttp_session
from aiohttp import web
from aiohttp_session import Session
from aiohttp_session.cookie_storage import EncryptedCookieStorage
from cryptography.fernet import Fernet, MultiFernet

NAME = "nijika"
COOKIE_CHARACTERS_MAX = 4096  # what browsers keep at most
NOTICE_CHARACTERS_MAX = 300  # of which each may be four bytes
TOKEN_BYTES = 32


class Cookie(EncryptedCookieStorage):
    """`secure` is for https: the name's prefix then binds the cookie to this host (RFC 6265bis, 4.1.3.2)."""

    def __init__(self, cipher: MultiFernet, *, secure: bool, seconds: float) -> None:
        unused = Fernet(base64.urlsafe_b64encode(bytes(32)))  # the constructor takes no MultiFernet
        super().__init__(
            unused,
            cookie_name=name(NAME, secure=secure),
            max_age=int(seconds),
            secure=secure,
            httponly=True,
            samesite="Lax",
            encoder=partial(json.dumps, ensure_ascii=False),
        )
        self._fernet = cipher  # type: ignore[assignment] # decrypts and encrypts like a Fernet

    def load_cookie(self, request: web.Request) -> str | None:
        """The cookie's text; what cannot be one of ours is as good as none."""
        text = super().load_cookie(request)
        return text if text is not None and text.isascii() and len(text) <= COOKIE_CHARACTERS_MAX else None

    def save_cookie(self, response: web.StreamResponse, cookie_data: str, *, max_age: int | None = None) -> None:
        """Set it, or delete it with all of its attributes: without Secure a browser keeps a `__Host-` cookie."""
        params = self.cookie_params
        if cookie_data:
            super().save_cookie(response, cookie_data, max_age=max_age)
        else:
            response.del_cookie(
                self.cookie_name, path=params["path"], secure=params["secure"], httponly=True, samesite="Lax"
            )


def name(plain: str, *, secure: bool) -> str:
    """A cookie's name."""
    return f"__Host-{plain}" if secure else plain


async def session_id(request: web.Request) -> UUID | None:
    """The session that the visitor's cookie names, whether it lives or not."""
    session = await aiohttp_session.get_session(request)
    try:
        return UUID(session["id"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


async def sign_in(request: web.Request, session: UUID) -> None:
    """A new cookie for a new session: nothing of the old one goes on."""
    fresh = await aiohttp_session.new_session(request)
    fresh["id"] = str(session)
    fresh["token"] = secrets.token_urlsafe(TOKEN_BYTES)


async def sign_out(request: web.Request) -> None:
    """No cookie any more."""
    (await aiohttp_session.get_session(request)).invalidate()


async def leave_notice(request: web.Request, text: str, **more: str) -> None:
    """Say something on the next page that this visitor sees; `more` is for that page's template."""
    if text or more:
        (await aiohttp_session.get_session(request))["notice"] = {"text": text[:NOTICE_CHARACTERS_MAX], **more}


def take_notice(request: web.Request) -> dict[str, str]:
    """What is to be said now, once: `text` ("" is nothing) in a `tone` (a class of the style sheet), and more."""
    session: Session | None = request.get(aiohttp_session.SESSION_KEY)
    notice = {} if session is None else session.get("notice", {})
    if session is not None and notice:
        del session["notice"]
    return {"text": "", "tone": "good", **notice}


def token(request: web.Request) -> str:
    """The token that forms of this visitor carry; made where there is none yet. "" without the `session` link."""
    session: Session | None = request.get(aiohttp_session.SESSION_KEY)
    if session is None:
        return ""
    if not isinstance(session.get("token"), str):
        session["token"] = secrets.token_urlsafe(TOKEN_BYTES)
    return str(session["token"])
