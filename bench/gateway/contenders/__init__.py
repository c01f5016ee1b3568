"""Who is compared, by name; each folder has the configuration, as it is used."""

from bench.gateway.contenders.auth_request import AuthRequest
from bench.gateway.contenders.bare import Bare
from bench.gateway.contenders.caddy import CADDY
from bench.gateway.contenders.direct import Direct
from bench.gateway.contenders.envoy import ENVOY
from bench.gateway.contenders.express_gateway import ExpressGateway
from bench.gateway.contenders.haproxy import HAPROXY
from bench.gateway.contenders.litellm import LiteLLM
from bench.gateway.contenders.nginx import NGINX
from bench.gateway.contenders.nijika import Nijika
from bench.gateway.serving import Contender

DIRECT, BARE = "direct", "bare"

_ALL: tuple[Contender, ...] = (
    Direct(),
    Bare(),
    NGINX,
    HAPROXY,
    ENVOY,
    CADDY,
    AuthRequest(),
    ExpressGateway(),
    LiteLLM(),
    Nijika("nijika-unpriced", "limit by address; no key", "/api"),
    Nijika("nijika-keyed", "limit, key", "/keyed", accounts=1),
    Nijika("nijika-priced", "limit, key, hold, settle; one account", "/paid", accounts=1),
    Nijika("nijika-priced-1000", "the same; 1,000 accounts in turn", "/paid", accounts=1000),
    Nijika("nijika-unpriced-2", "as nijika-unpriced, two processes", "/api", processes=2),
    Nijika("nijika-priced-2", "as nijika-priced, two processes", "/paid", accounts=1, processes=2),
    Nijika("nijika-priced-1000-2", "as nijika-priced-1000, two processes", "/paid", accounts=1000, processes=2),
)
CONTENDERS = {contender.name: contender for contender in _ALL}
"""The first two are always there: the others are told in multiples of `bare`, and added latency is beyond `direct`."""
