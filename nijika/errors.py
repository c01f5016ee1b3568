"""What can go wrong, each with the sentence that a person reads and the status that HTTP gives it."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple


class Problem(Exception):
    """A refusal or failure that the caller is told of (RFC 9457); `problems` turns it into an answer.

    `detail` is a sentence for the caller, `headers` go onto the answer, `members` into its JSON.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something broke on our side"
    detail: ClassVar[str] = "The gateway met an error of its own. Nothing was charged; please try again."
    closes: bool = False  # whether the connection's framing or pace can no longer be trusted

    def __init__(
        self, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail or self.detail)
        self.headers = dict(headers or {})
        self.members = members


class BadRequest(Problem):
    """The request cannot be understood, or must not be."""

    status = 400
    code = "bad-request"
    title = "The request is malformed"
    detail = "The request does not follow HTTP/1.1 (RFC 9112)."
    closes = True


class BadPath(BadRequest):
    """The target has more than one reading, so that rules and worker might disagree about it."""

    code = "bad-path"
    title = "The path is not in its canonical form"
    detail = (
        "Write the path plainly: it begins with a slash and has no dot segments, no empty ones, "
        "no encoded slash, backslash, semicolon or control character."
    )


class BadHost(BadRequest):
    """The Host field is no host."""

    code = "bad-host"
    title = "The Host field is not valid"
    detail = "The Host field must hold one host name or address, and a port if need be."


class BadParameter(Problem):
    """A parameter or field that nijika itself reads is missing or wrong."""

    status = 400
    code = "bad-parameter"
    title = "A parameter is not valid"


class MissingKey(Problem):
    """A key is needed and none was sent."""

    status = 401
    code = "missing-key"
    title = "An API key is needed"
    detail = "Send your key in the field X-API-Key, or as Authorization: Bearer."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="nijika"'})


class InvalidKey(Problem):
    """The key is malformed, unknown, revoked or expired; which of them is not told."""

    status = 401
    code = "invalid-key"
    title = "The API key is not valid"
    detail = "The key is unknown, revoked or expired. Check it for typing errors, or make a new one."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="nijika", error="invalid_token"'})


class NotSignedIn(Problem):
    """A page for people who are signed in, and nobody is, or the session is over."""

    status = 401
    code = "not-signed-in"
    title = "Please sign in"
    detail = "This page is for people who are signed in, and you are not, or not any more."


class NotAllowed(Problem):
    """Signed in, but not as somebody who may do this."""

    status = 403
    code = "not-allowed"
    title = "This is not for you"
    detail = "Your role does not allow this."


class ForgedForm(Problem):
    """A form that was not sent from one of our own pages, or from one that is too old."""

    status = 403
    code = "forged-form"
    title = "The form could not be accepted"
    detail = (
        "This form does not come from a page of this site, or the page was open since before you signed in. "
        "Nothing was changed. Load the page again and repeat."
    )


class BadForm(Problem):
    """What was filled in cannot be taken; the sentence says what to change."""

    status = 422
    code = "bad-form"
    title = "Something in the form needs a change"


class SignInFailed(Problem):
    """The provider sent the browser back with something else than an answer to this sign-in."""

    status = 400
    code = "sign-in-failed"
    title = "The sign-in did not work"
    detail = (
        "This sign-in was not begun in this browser, took longer than ten minutes, or was used before. "
        "Please start again."
    )


class SignInDeclined(SignInFailed):
    """The person, or the provider, said no."""

    code = "sign-in-declined"
    title = "You are not signed in"
    detail = "The provider says that access was not granted. Nothing was changed."


class AccountTooYoung(Problem):
    """The account at the provider is not one calendar month old, or its age is not known."""

    status = 403
    code = "account-too-young"
    title = "This account is too young"
    detail = (
        "To sign up here, or to be linked, an account at GitHub or GitLab must be at least one month old. "
        "Please come back later, or use another one."
    )


class IdentityTaken(Problem):
    """The identity belongs to another account."""

    status = 409
    code = "identity-taken"
    title = "It is linked to another account"
    detail = "This identity is linked to another account here. Sign in with it there and unlink it first."


class ProviderLinkedAlready(Problem):
    """The account has an identity of this provider; a second one never replaces it."""

    status = 409
    code = "provider-linked-already"
    title = "Another identity is linked already"

    def __init__(self, login: str) -> None:
        super().__init__(
            f"The account with this e-mail is linked to “{login}” at the same provider. Sign in with that one; "
            "to change it, unlink it first."
        )


class UnlinkedBefore(Problem):
    """The holder of the account with this e-mail has unlinked this identity."""

    status = 409
    code = "unlinked-before"
    title = "It was unlinked"
    detail = (
        "The account with this e-mail address has unlinked this identity. Sign in with another one, and link it there."
    )


class LastIdentity(Problem):
    """Without it nobody could sign in to the account any more."""

    status = 409
    code = "last-identity"
    title = "The last identity stays"
    detail = "Without it you could not sign in any more. Link another one first, or delete the account."


class LastAdmin(Problem):
    """Somebody must be left who may do everything."""

    status = 409
    code = "last-admin"
    title = "Somebody must be admin"
    detail = "This is the last admin who is not suspended. Make somebody else admin first."


class BelowZero(Problem):
    """Credit that is not there cannot be taken; amounts are decimal text."""

    status = 409
    code = "below-zero"
    title = "There is not so much to take"

    def __init__(self, *, available: str) -> None:
        super().__init__(
            f"The account has {available} credits available, and cannot go below zero. Nothing was changed.",
            available=available,
        )


class TopUpReused(Problem):
    """The id of this payment stands for another one."""

    status = 409
    code = "topup-reused"
    title = "This id was used before"
    detail = "Another account or amount was asked for under this id. Nothing was changed; give each payment its own id."


class TooMuchCredit(Problem):
    """More than a balance can hold."""

    status = 409
    code = "too-much-credit"
    title = "So much does not fit"
    detail = "An account cannot hold so many credits. Nothing was changed."


class InsufficientCredits(Problem):
    """The account holds less than the price; amounts are decimal text."""

    status = 402
    code = "insufficient-credits"
    title = "Not enough credits"

    def __init__(self, *, price: str, balance: str) -> None:
        super().__init__(
            f"This call costs {price} credits and the account has {balance}.", price=price, balance=balance
        )


class KeySpendCap(Problem):
    """The account could pay, but this key may not spend as much in one `period` (day or month, UTC)."""

    status = 402
    code = "key-spend-cap"
    title = "The key has reached its spend cap"

    def __init__(self, *, price: str, period: str, cap: str, used: str) -> None:
        super().__init__(
            f"This call costs {price} credits, and this key has spent {used} of the {cap} that it may spend in a "
            f"{period} (UTC). Use another key, or raise its cap.",
            price=price,
            period=period,
            cap=cap,
            used=used,
        )


class Suspended(Problem):
    """The account is suspended."""

    status = 403
    code = "account-suspended"
    title = "The account is suspended"
    detail = "This account has been suspended by the operator. Nothing was charged."


class OutOfScope(Problem):
    """The key exists, but not for this route."""

    status = 403
    code = "key-out-of-scope"
    title = "The key is not allowed on this route"
    detail = "This key was made for other routes. Use another key, or make one for this route."


class NotFound(Problem):
    """There is nothing at this address."""

    status = 404
    code = "not-found"
    title = "Nothing is here"
    detail = "There is nothing at this address."


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    status = 405
    code = "method-not-allowed"
    title = "The method is not allowed here"

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        names = ", ".join(sorted(allowed))
        super().__init__(f"{method} is not possible here; use {names or 'another method'}.", headers={"Allow": names})


class RequestTimeout(Problem):
    """The caller's request came too slowly."""

    status = 408
    code = "request-timeout"
    title = "The request came too slowly"
    detail = "The request did not arrive in time. Nothing was charged."
    closes = True


class IdempotencyKeyInFlight(Problem):
    """The call of this idempotency key is still being worked on."""

    status = 409
    code = "idempotency-key-in-flight"
    title = "This call is under way"
    detail = "A call with this Idempotency-Key is still being worked on. Wait for its answer."


class IdempotencyKeyDone(Problem):
    """The call of this idempotency key was paid for, and its answer delivered; `charge` is its id."""

    status = 409
    code = "idempotency-key-done"
    title = "This call is done"

    def __init__(self, charge: str, *, digest: bytes | None) -> None:
        self.digest = digest
        super().__init__(
            f"A call with this Idempotency-Key was answered and charged as {charge}; see /api/charges/{charge}. "
            "Nothing was charged now. Use a new Idempotency-Key for a new call.",
            charge=charge,
        )


class BodyTooLarge(Problem):
    """The body is larger than the route takes."""

    status = 413
    code = "body-too-large"
    title = "The body is too large"
    closes = True

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"This route takes bodies of up to {bytes_max} bytes.", bytes_max=bytes_max)


class UnsupportedType(Problem):
    """The body's type is not one that the route takes."""

    status = 415
    code = "unsupported-type"
    title = "The type of the body is not supported"

    def __init__(self, accepted: Sequence[str]) -> None:
        names = ", ".join(accepted)
        super().__init__(f"This route takes {names}; say which in Content-Type.", headers={"Accept": names})


class ExpectationFailed(Problem):
    """An Expect field with something else than 100-continue."""

    status = 417
    code = "expectation-failed"
    title = "The expectation cannot be met"
    detail = "The only expectation that is understood is 100-continue."


class CallerGone(Problem):
    """The caller hung up; nobody reads this, but the log tells of it."""

    status = 499
    code = "caller-gone"
    title = "The caller hung up"
    detail = "The caller closed the connection before its request was complete."


class IdempotencyKeyReused(Problem):
    """The idempotency key stands for another call: another route, another target or another body."""

    status = 422
    code = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another call"
    detail = "This Idempotency-Key was used with another route or body. Nothing was charged; use a new one."


class TooManyRequests(Problem):
    """A rate rule is exhausted; Retry-After says for how many seconds."""

    status = 429
    code = "too-many-requests"
    title = "Too many requests"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"Please try again in {retry_after} second{'s' if retry_after != 1 else ''}.",
            headers={"Retry-After": str(retry_after)},
        )


class TooManyWrongKeys(Problem):
    """The caller's address has sent too many keys that are not valid; Retry-After says for how many seconds."""

    status = 429
    code = "too-many-wrong-keys"
    title = "Too many wrong keys"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "Too many keys that are not valid came from your address. "
            f"Please try again in {retry_after} second{'s' if retry_after != 1 else ''}.",
            headers={"Retry-After": str(retry_after)},
        )


class TooManyBodies(Problem):
    """Other bodies are being gathered, and this one does not fit beside them."""

    status = 503
    code = "too-many-bodies"
    title = "Too many pictures at once"
    detail = "More pictures in base64 have come than are taken at once. Nothing was charged; please try again."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "2"})


class UpstreamFailed(Problem):
    """The worker cannot be reached, or its answer is broken."""

    status = 502
    code = "upstream-failed"
    title = "The worker failed"
    detail = "The service behind this route cannot be reached, or its answer is broken. Nothing was charged."


class ProviderFailed(Problem):
    """GitHub or GitLab cannot be reached or does not answer as it should; `cause` is for the log."""

    status = 502
    code = "provider-failed"
    title = "The provider did not answer"
    detail = "The provider of the sign-in cannot be reached, or its answer is broken. Please try again in a moment."

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__()


class UpstreamUnavailable(Problem):
    """The worker sheds load or is still starting; `retry_after` is in whole seconds."""

    status = 503
    code = "upstream-unavailable"
    title = "The worker is busy"
    detail = "The service behind this route is busy or still starting. Nothing was charged; please try again."

    def __init__(self, retry_after: int = 5) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class LimiterUnavailable(Problem):
    """Limits are counted in a Redis that does not answer, and nothing may pass uncounted."""

    status = 503
    code = "limiter-unavailable"
    title = "Limits are out of reach"
    detail = (
        "Whether this call is within its limits cannot be told at the moment. Nothing was charged; please try again."
    )

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


class LedgerUnavailable(Problem):
    """The database does not answer, so nothing can be charged and nothing is forwarded."""

    status = 503
    code = "ledger-unavailable"
    title = "Accounts are out of reach"
    detail = "Accounts cannot be read at the moment. Nothing was charged; please try again."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


class LedgerBusy(Problem):
    """More charges wait to be written than the database keeps up with."""

    status = 503
    code = "ledger-busy"
    title = "Too many charges at once"
    detail = "More calls are waiting to be charged than can be. Nothing was charged; please try again."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class ChargeUnknown(Problem):
    """The work is done, but the database did not answer when the charge was to be settled."""

    status = 503
    code = "charge-unknown"
    title = "The charge could not be settled"
    detail = "Accounts are out of reach. Ask /api/charges/ for this request's id before you try again."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


class ChargeLost(Problem):
    """The charge was refunded by another hand while the worker worked; its result must not be given away."""

    status = 503
    code = "charge-lost"
    title = "The charge expired"
    detail = "The hold on the account ended before the work did. Nothing was charged; please try again."


class UpstreamTimeout(Problem):
    """The worker took too long."""

    status = 504
    code = "upstream-timeout"
    title = "The worker took too long"
    detail = "The service behind this route did not answer in time. Nothing was charged."


class Mistake(NamedTuple):
    """One mistake in config.toml: where (`routes[1].price`), what, and what to do about it ("" if that is plain)."""

    path: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """Read as one line."""
        return f"{self.path}: {self.what}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(Exception):
    """config.toml is wrong; all of its mistakes at once."""

    def __init__(self, file: str, mistakes: Sequence[Mistake]) -> None:
        self.file = file
        self.mistakes = list(mistakes)
        lines = "\n".join(f"  {mistake}" for mistake in mistakes)
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__(f"{file} has {count}:\n{lines}")


class StartError(Exception):
    """A sentence which tells the operator why nijika cannot start."""


class CommandError(Exception):
    """A sentence which tells the operator why a command did nothing."""
