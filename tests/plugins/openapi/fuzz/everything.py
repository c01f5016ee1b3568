"""A configuration with every link and every plugin, and a call of each kind."""

from nijika.plugins import PLUGINS
from tests.gateway import configuration, upstream_table

MANY = "1000000/s"

_CHAIN = """
[[middlewares]]
use = "real_ip"
[[middlewares]]
use = "rate_limit"
rules = [{{ prefix = "/", limit = "{limit}" }}]
[[middlewares]]
use = "session"
[[middlewares]]
use = "api_key"
failures = "{failures}"
[[middlewares]]
use = "rate_limit"
rules = [{{ prefix = "/api/", limit = "1000000/s", concurrency = 100, per = "account" }}]
[[middlewares]]
use = "pricing"
"""

_SOLD = """
[[routes]]
use = "removebg"
upstream = "worker"
price = "0.25"
[[routes]]
use = "withoutbg"
upstream = "worker"
price = "0.25"
[[routes]]
use = "proxy"
path = "/api/cutout"
upstream = "worker"
target = "/v1/cutout"
price = "0.01"
[[routes]]
use = "proxy"
path = "/api/alpha"
upstream = "worker"
target = "/v1/alpha"
price = "free"
key = true
content_types = ["image/*", "multipart/form-data"]
[[routes]]
use = "proxy"
path = "/api/upscale"
upstream = "worker"
target = "/v1/upscale"
price = { hold = "2", capture = "X-Nijika-Cost" }
content_types = ["image/*"]
body_bytes_max = 10000
[[routes]]
use = "proxy"
path = "/worker/info"
methods = ["GET", "HEAD"]
upstream = "worker"
target = "/info"
price = "free"
[[routes]]
use = "proxy"
path = "/files/{folder}/*"
methods = ["GET", "PUT", "PATCH", "DELETE"]
upstream = "worker"
price = "free"
[[routes]]
use = "tests.plugins.openapi.mixer:Mixer"
"""

_WRITTEN_OUT = {"proxy", "removebg", "withoutbg"}


def chain(*, limit: str = MANY, failures: str = MANY) -> str:
    """Every link; so many calls, and so many wrong keys, of one address pass."""
    return _CHAIN.format(limit=limit, failures=failures)


def routes() -> str:
    """Every plugin; those that need no settings come by themselves."""
    return "".join(f'[[routes]]\nuse = "{name}"\n' for name in PLUGINS if name not in _WRITTEN_OUT) + _SOLD


def configured(worker: str, *, limit: str = MANY, failures: str = MANY) -> str:
    """All of it, on the worker at this URL."""
    return configuration(upstream_table(worker), chain=chain(limit=limit, failures=failures), routes=routes())
