"""nginx, plain: nginx.conf."""

from pathlib import Path

from bench.gateway.contenders.plain import Plain
from bench.gateway.programs import debian


def find() -> Path:
    """The program."""
    return debian("nginx", "nginx")


NGINX = Plain(
    "nginx",
    "plain proxy",
    find=find,
    configuration=Path(__file__).with_name("nginx.conf"),
    words=lambda file: ["-c", file, "-e", "stderr"],
    version="-v",
)
