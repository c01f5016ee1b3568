"""A sign-in that is under way: what the browser keeps for us until the provider sends it back."""

import json
import secrets
from dataclasses import asdict, dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Self

from cryptography.fernet import InvalidToken, MultiFernet

SECONDS = 600


@dataclass(frozen=True)
class Pending:
    """`state` binds the answer to this browser and provider, `verifier` (RFC 7636) the code to this gateway.

    `next` is the page to show afterwards. `link` is the session that asked to be linked; None: a sign-in.
    """

    provider: str
    state: str
    verifier: str
    next: str
    link: str | None

    @classmethod
    def begin(cls, provider: str, *, next: str, link: str | None = None) -> Self:
        """Begin one."""
        return cls(provider, secrets.token_urlsafe(32), secrets.token_urlsafe(48), next, link)

    def sealed(self, cipher: MultiFernet) -> str:
        """The text of the cookie."""
        return cipher.encrypt(json.dumps(asdict(self)).encode()).decode()

    @classmethod
    def opened(cls, text: str, cipher: MultiFernet) -> Self | None:
        """What a cookie holds; None if it is none of ours, or older than SECONDS."""
        try:
            return cls(**json.loads(cipher.decrypt(text.encode("utf-8", "replace"), ttl=SECONDS)))
        except InvalidToken:
            return None

    def answers(self, provider: str, state: str) -> bool:
        """Whether a callback of `provider` with `state` belongs to this; in constant time."""
        same_state = compare_digest(self.state.encode(), state.encode("utf-8", "replace"))
        return same_state and self.provider == provider

    @property
    def digest(self) -> bytes:
        """Under which it is noted as spent."""
        return sha256(self.state.encode()).digest()
