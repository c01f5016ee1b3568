"""How messages are signed, and the secrets that sign them (Standard Webhooks, "Signature scheme")."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from cryptography.fernet import InvalidToken

from nijika.store.vault import Vault

PREFIX = "whsec_"
SECRET_BYTES = 32


class Seal:
    """Makes secrets, and keeps them sealed under the server's own."""

    def __init__(self, vault: Vault) -> None:
        self._cipher = vault.cipher("nijika webhook secret")

    def make(self) -> bytes:
        """A new secret, sealed."""
        text = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        return self._cipher.encrypt(text.encode())

    def open(self, sealed: bytes) -> str | None:
        """The secret as its holder needs it; None if the server's secret that sealed it is gone."""
        try:
            return self._cipher.decrypt(sealed).decode()
        except InvalidToken:
            return None


def fields(texts: Iterable[str], name: str, body: bytes, seconds: int) -> dict[str, str]:
    """The header fields of the message `name`, sent at `seconds` (since 1970) and signed with each of the secrets."""
    content = f"{name}.{seconds}.".encode() + body
    return {
        "webhook-id": name,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{_digest(text, content)}" for text in texts),
    }


def _digest(text: str, content: bytes) -> str:
    key = base64.b64decode(text.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
