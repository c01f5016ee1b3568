"""HAProxy, plain: haproxy.cfg."""

from pathlib import Path

from bench.gateway.contenders.plain import Plain
from bench.gateway.programs import debian

HAPROXY = Plain(
    "haproxy",
    "plain proxy",
    find=lambda: debian("haproxy", "haproxy"),
    configuration=Path(__file__).with_name("haproxy.cfg"),
    words=lambda file: ["-db", "-f", file],
    version="-v",
)
