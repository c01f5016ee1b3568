"""Who is one caller, as far as an address can tell."""

from ipaddress import IPv4Address, IPv6Address

_IPV6_HOST_BITS = 64


def bucket(address: IPv4Address | IPv6Address) -> str:
    """One household is one caller: an IPv4 address, or the /64 of an IPv6 address."""
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS)}/64"
    return str(address)
