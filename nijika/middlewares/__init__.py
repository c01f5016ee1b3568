"""The links of the chain, one a file, and the names by which config.toml calls them."""

from nijika.middlewares.api_key import ApiKey
from nijika.middlewares.pricing import Pricing
from nijika.middlewares.rate_limit import RateLimit
from nijika.middlewares.real_ip import RealIp
from nijika.middlewares.session import Session
from nijika.module import Middleware

MIDDLEWARES: dict[str, type[Middleware]] = {
    "real_ip": RealIp,
    "rate_limit": RateLimit,
    "session": Session,
    "api_key": ApiKey,
    "pricing": Pricing,
}
