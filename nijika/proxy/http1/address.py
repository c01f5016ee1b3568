"""Where a worker is, taken apart once."""

from dataclasses import dataclass
from typing import Self

from yarl import URL


@dataclass(frozen=True)
class Address:
    """An origin: `host` as the resolver takes it, `authority` as Host tells it; all targets begin with `path`."""

    host: str
    port: int
    is_secure: bool
    authority: str
    path: str

    @classmethod
    def of(cls, base: str) -> Self:
        """What a base URL says of it; ValueError if it has no host."""
        url = URL(base)
        if url.raw_host is None or url.port is None or url.host_port_subcomponent is None:
            raise ValueError(f'"{base}" has no host')
        return cls(
            host=url.raw_host,
            port=url.port,
            is_secure=url.scheme == "https",
            authority=url.host_port_subcomponent,
            path=url.raw_path.rstrip("/"),
        )

    def __str__(self) -> str:
        return f"{'https' if self.is_secure else 'http'}://{self.authority}"
