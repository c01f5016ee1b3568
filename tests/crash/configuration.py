"""The config.toml of one gateway."""

from nijika.credits import show
from tests.crash.plan import LEASE_SECONDS, LOOPBACK, PRICES, Price

SECRET = "a secret that is long enough for all tests"

_SHARED = """
[server]
port = {port}
secrets = ["{secret}"]
drain_seconds = 3
[database]
url = "{database_url}"
[ledger]
lease_seconds = {lease_seconds}
[[middlewares]]
use = "api_key"
[[middlewares]]
use = "pricing"
[upstreams.worker]
urls = ["http://{loopback}:{worker_port}"]
connect_seconds = 1
first_byte_seconds = 2
idle_seconds = 1
total_seconds = 8
"""

_ROUTE = """
[[routes]]
use = "proxy"
path = "{path}"
upstream = "worker"
price = {price}
"""


def configuration(*, port: int, database_url: str, worker_port: int) -> str:
    """Short waits and short leases: what takes minutes in production shall happen within a run."""
    shared = _SHARED.format(
        port=port,
        secret=SECRET,
        database_url=database_url,
        lease_seconds=LEASE_SECONDS,
        loopback=LOOPBACK,
        worker_port=worker_port,
    )
    return shared + "".join(_ROUTE.format(path=path, price=_written(price)) for path, price in PRICES.items())


def _written(price: Price) -> str:
    amount = f'"{show(price.hold)}"'
    return f'{{ hold = {amount}, capture = "X-Nijika-Cost" }}' if price.metered else amount
