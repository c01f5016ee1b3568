"""Caddy, plain: Caddyfile."""

from pathlib import Path

from bench.gateway.contenders.plain import Plain
from bench.gateway.programs import debian

CADDY = Plain(
    "caddy",
    "plain proxy",
    find=lambda: debian("caddy", "caddy"),
    configuration=Path(__file__).with_name("Caddyfile"),
    words=lambda file: ["run", "--config", file, "--adapter", "caddyfile"],
    version="version",
)
