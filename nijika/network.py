"""Networks as config.toml writes them."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import Field, PlainValidator


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f'a network is written such as "10.0.0.0/8" or "2001:db8::/32": {error}') from None


Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network), Field(title="network in CIDR")]
"""In CIDR form, such as "10.0.0.0/8"."""
