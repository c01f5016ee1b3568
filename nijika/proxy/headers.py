"""Which header fields pass: towards the worker, and back to the caller.

Source: RFC 9110, 7.6.1 (Connection and hop-by-hop fields); RFC 7239 (Forwarded).
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from multidict import CIMultiDict, MultiMapping

from nijika.errors import UpstreamFailed

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-authentication-info",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    }
)
# The caller's credentials are the gateway's business; who the caller is, is told anew by `forwarded`.
_NOT_TO_WORKER = HOP_BY_HOP | frozenset(
    {
        "host",
        "expect",
        "cookie",
        "cookie2",
        "authorization",
        "x-api-key",
        "forwarded",
        "x-forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-forwarded-prefix",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-original-forwarded-for",
        "x-request-id",
        "idempotency-key",
    }
)
# The worker must not speak for the gateway: no cookies, no redirects, nothing that tells where it runs.
_NOT_TO_CALLER = HOP_BY_HOP | frozenset(
    {
        "location",
        "content-location",
        "refresh",
        "set-cookie",
        "set-cookie2",
        "server",
        "via",
        "x-powered-by",
        "date",
        "alt-svc",
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-credits-charged",
        "x-credits-remaining",
        "strict-transport-security",
        "public-key-pins",
        "clear-site-data",
        "service-worker-allowed",
        "report-to",
        "reporting-endpoints",
        "nel",
        "proxy-status",
        "cf-ray",
        "x-sendfile",
        "x-lighttpd-send-file",
        "www-authenticate",
    }
)
# "X_Nijika_Account" is X-Nijika-Account to a worker that speaks CGI or WSGI. Modal's edge obeys what bears its name.
_WORKER_PRIVATE = ("x-nijika-", "x-forwarded", "modal-", "x-modal-")
_CALLER_PRIVATE = ("x-nijika-", "modal-", "x-modal-", "x-accel-", "x-envoy-")

# A worker's page that is opened in a browser is in an origin of its own: it must not act as the visitor of ours.
_HARMLESS = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Fields = Iterable[tuple[str, str]]


def towards_worker(fields: MultiMapping[str], added: Fields) -> CIMultiDict[str]:
    """The caller's fields that the worker may see, in their order, and then `added`, which win."""
    passed = _passed(fields, _NOT_TO_WORKER, _WORKER_PRIVATE)
    for name, _ in added:
        passed.popall(name, None)
    passed.extend(added)
    return passed


def towards_caller(fields: MultiMapping[str]) -> CIMultiDict[str]:
    """The worker's fields that the caller may see, in their order. UpstreamFailed if one cannot be sent on."""
    passed = _passed(fields, _NOT_TO_CALLER, _CALLER_PRIVATE)
    # Later would be too late: the head goes out after the charge was captured.
    if any(_CONTROL.search(value) for value in passed.values()):
        raise UpstreamFailed
    passed.update(_HARMLESS)
    return passed


@lru_cache(maxsize=4096)
def forwarded(client: IPv4Address | IPv6Address, public_url: str) -> tuple[tuple[str, str], ...]:
    """The fields that tell the worker who asks, and where, in both customary spellings. Most callers come again."""
    scheme, _, host = public_url.partition("://")
    node = f'"[{client}]"' if isinstance(client, IPv6Address) else str(client)
    return (
        ("X-Forwarded-For", str(client)),
        ("X-Forwarded-Proto", scheme),
        ("X-Forwarded-Host", host),
        ("Forwarded", f'for={node};proto={scheme};host="{host}"'),
    )


def _passed(fields: MultiMapping[str], dropped: frozenset[str], private: tuple[str, ...]) -> CIMultiDict[str]:
    named = _named_by_connection(fields)
    passed: CIMultiDict[str] = CIMultiDict()
    for name, value in fields.items():
        lower = name.lower()
        if lower not in dropped and "_" not in lower and lower not in named and not lower.startswith(private):
            passed.add(name, value)
    return passed


def _named_by_connection(fields: MultiMapping[str]) -> frozenset[str]:
    """Fields that `Connection` names belong to one hop; Content-Length must stay, or bodies lose their frame."""
    if "Connection" not in fields:
        return frozenset()
    values = fields.getall("Connection")
    named = {name.strip().lower() for value in values for name in value.split(",")}
    return frozenset(named - {"content-length", "content-type", "content-encoding"})
