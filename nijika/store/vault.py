"""How API keys are made, checked, found and shown again.

A key is `nj_live_`, 32 random bytes in base62 (43 characters) and a checksum of 6 characters.
"""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "nj_live_"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(PREFIX + r"[0-9A-Za-z]{49}", re.ASCII)
_CHECKSUM_LENGTH = 6


def make_key() -> str:
    """A new key, from the system's source of randomness."""
    body = PREFIX + _base62(int.from_bytes(secrets.token_bytes(32)), 43)
    return body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether this can be a key at all; a typing error is told apart without a query."""
    return _FORM.fullmatch(key) is not None and _checksum(key[:-_CHECKSUM_LENGTH]) == key[-_CHECKSUM_LENGTH:]


class Vault:
    """Digests and seals keys under the server's secrets: the first one writes, all of them read."""

    def __init__(self, server_secrets: Sequence[str]) -> None:
        self._secrets = tuple(server_secrets)
        self._peppers = [_derive(secret, b"nijika key digest") for secret in server_secrets]
        self._fernet = self.cipher("nijika key seal")

    def digest(self, key: str) -> bytes:
        """HMAC-SHA256 of a key, under which it is stored."""
        return self.digests(key)[0]

    def digests(self, key: str) -> list[bytes]:
        """All digests under which the key may have been stored, before a secret was changed, too."""
        return [hmac.digest(pepper, key.encode(), hashlib.sha256) for pepper in self._peppers]

    def cipher(self, purpose: str) -> MultiFernet:
        """A cipher of its own for a purpose: what was sealed for another one does not open."""
        keys = [base64.urlsafe_b64encode(_derive(secret, purpose.encode())) for secret in self._secrets]
        return MultiFernet([Fernet(key) for key in keys])

    def seal(self, key: str) -> bytes:
        """The key, encrypted (Fernet)."""
        return self._fernet.encrypt(key.encode())

    def open(self, sealed: bytes) -> str | None:
        """The key that was sealed; None if its secret is gone."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            return None


def _derive(secret: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret.encode())


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM_LENGTH)
