"""Everything that can go wrong with a request, and the one place that turns it into HTTP (RFC 9457)."""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from aiohttp import web

log = logging.getLogger("worker")

RETRY_AFTER_SECONDS = 5


@web.middleware
async def answer_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every failure leaves as application/problem+json; one that nobody foresaw is logged and tells nothing."""
    try:
        return await handler(request)
    except Problem as problem:
        return _response(problem)
    except web.HTTPException as error:
        return _response(_from_aiohttp(error))
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _response(Problem("The worker failed. Send the request again; if it goes on, tell the operator."))


class Problem(Exception):
    """A failure with its HTTP status; the detail is a sentence that tells a person what to do."""

    status = 500
    code = "internal-error"
    retry = False

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        if self.retry:
            self.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)


class NotAnImage(Problem):
    """The bytes are no picture of a kind that is read here."""

    status = 415
    code = "not-an-image"


class EncodedBody(Problem):
    """The body arrived compressed: pictures are already, and a decompressed size cannot be foreseen."""

    status = 415
    code = "encoded-body"


class TruncatedImage(Problem):
    """The picture begins well and then breaks off or is damaged."""

    status = 422
    code = "truncated-image"


class TooManyPixels(Problem):
    """The header announces more pixels than are taken."""

    status = 413
    code = "too-many-pixels"

    def __init__(self, pixels_max: int, detail: str | None = None) -> None:
        usual = f"The picture has more than {pixels_max / 1e6:g} megapixels. Make it smaller and send it again."
        super().__init__(detail or usual)


class TooLong(Problem):
    """One side of the picture is longer than the file format can hold."""

    status = 413
    code = "too-many-pixels"

    def __init__(self, side_max: int) -> None:
        super().__init__(f"No side may be longer than {side_max} pixels here. Send a smaller picture.")


class BadBackdrop(Problem):
    """The picture to lay the other one on cannot be had or read; the status and the advice are those of the cause."""

    code = "bad-backdrop"

    def __init__(self, cause: Problem) -> None:
        super().__init__(f"The background picture cannot be used. {cause.detail}")
        self.status = cause.status


class BodyTooLarge(Problem):
    """The body is, or becomes, larger than is taken."""

    status = 413
    code = "body-too-large"

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"The body is larger than {bytes_max} bytes. Send a smaller file.")


class SlowBody(Problem):
    """The body did not arrive in time."""

    status = 408
    code = "slow-body"


class BadBody(Problem):
    """The form or the JSON around the picture cannot be read."""

    status = 400
    code = "bad-body"


class NoImage(Problem):
    """The request brings no picture."""

    status = 400
    code = "no-image"

    def __init__(self) -> None:
        super().__init__(
            'The request has no picture. Send it as the body, as the form field "image", or as JSON {"url": "https://…"}.'
        )


class UnknownOption(Problem):
    """An option that does not exist; most often a slip of the pen, so the known ones are listed."""

    status = 400
    code = "unknown-option"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f'There is no option "{name[:80]}". Known options: {", ".join(known)}.')


class BadOption(Problem):
    """A known option with a value that it does not take."""

    status = 400
    code = "bad-option"


class Contradiction(Problem):
    """Options that cannot be meant together."""

    status = 400
    code = "contradictory-options"


class BadUrl(Problem):
    """The address of the picture is none that can be fetched."""

    status = 400
    code = "bad-url"


class PrivateAddress(Problem):
    """The address of the picture leads into a network that is not public."""

    status = 403
    code = "private-address"


class FetchFailed(Problem):
    """The other server did not give the picture."""

    status = 422
    code = "fetch-failed"


class FetchTooLarge(Problem):
    """The file behind the address is larger than is taken."""

    status = 413
    code = "fetch-too-large"

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"The file behind the url is larger than {bytes_max} bytes. Link to a smaller one.")


class Busy(Problem):
    """As many pictures wait as may wait."""

    status = 503
    code = "busy"
    retry = True

    def __init__(self) -> None:
        super().__init__("Too many pictures are waiting. Send it again in a few seconds.")


class TooLate(Problem):
    """The picture waited so long that nobody can be waiting for it any more."""

    status = 503
    code = "too-late"
    retry = True

    def __init__(self) -> None:
        super().__init__("The picture waited too long for its turn. Send it again in a few seconds.")


class NotReady(Problem):
    """The engine is still being loaded, or the worker is stopping."""

    status = 503
    code = "not-ready"
    retry = True


class EngineMissing(Problem):
    """What was asked for at start could not be loaded, and nothing else stands in for it."""

    status = 503
    code = "engine-missing"

    def __init__(self, cause: Exception) -> None:
        reason = " ".join(str(cause).split()) or type(cause).__name__
        super().__init__(f"The engine cannot be loaded: {reason.removesuffix('.')}.")


class EngineGone(Problem):
    """The thread of the device has ended, so nothing will be worked on until the worker starts again."""

    status = 503
    code = "engine-gone"
    retry = True

    def __init__(self, cause: BaseException) -> None:
        super().__init__("The engine has ended, and the worker with it. Send it again in a few seconds.")
        self.__cause__ = cause


class EngineFailed(Problem):
    """The engine failed at this picture; the cause is in the log."""

    def __init__(self) -> None:
        super().__init__("The worker failed at this picture. Send it again; if it goes on, tell the operator.")


class TooLargeForDevice(Problem):
    """The device's memory does not do for this picture, even alone; sent again as it is, it would not either."""

    status = 413
    code = "too-large-for-device"

    def __init__(self) -> None:
        super().__init__(
            'The picture is too large for the device. Choose a smaller "resolution", or send a smaller picture.'
        )


@contextmanager
def of_backdrop() -> Iterator[None]:
    """Within it, whatever is the caller's to mend is told as the background picture's. Raises BadBackdrop."""
    try:
        yield
    except Problem as cause:
        if cause.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise BadBackdrop(cause) from cause


def _from_aiohttp(error: web.HTTPException) -> Problem:
    title = HTTPStatus(error.status).phrase
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    problem = Problem(f"{title}: see GET /info for what this worker does.", allow)
    problem.status = error.status
    problem.code = title.lower().replace(" ", "-")
    return problem


def _response(problem: Problem) -> web.Response:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    return web.Response(
        status=problem.status,
        body=json.dumps(body).encode(),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **problem.headers},
    )
