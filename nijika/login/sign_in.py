"""All that signing in needs to know: the providers, the seal of its cookie, and the terms for newcomers."""

from dataclasses import dataclass

from cryptography.fernet import MultiFernet

from nijika.login.admission import Terms
from nijika.login.provider import Provider


@dataclass(frozen=True)
class SignIn:
    """`providers` by name; those that the operator has not configured are not there."""

    providers: dict[str, Provider]
    cipher: MultiFernet
    terms: Terms
