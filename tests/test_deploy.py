"""What comes for containers and for systemd says what this version understands; no container engine runs here."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from nijika.__main__ import _parser
from worker import __main__ as worker

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
ENVIRONMENT = {
    "NIJIKA_SECRET": "0123456789abcdef" * 4,
    "PUBLIC_URL": "https://api.example.com",
    "DATABASE_URL": "postgresql://nijika:secret@postgres/nijika",
    "REDIS_URL": "redis://valkey:6379/0",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return made


def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "nijika", "check", "--config", str(DEPLOY / "config.toml"))
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_gateways_configuration_is_right_and_lacks_nothing_but_what_compose_gives(compose: dict[str, Any]) -> None:
    given = compose["services"]["gateway-a"]["environment"]
    named = set(re.findall(r'"\$([A-Z_]+)"', (DEPLOY / "config.toml").read_text()))

    done = check(ENVIRONMENT)

    assert (done.returncode, done.stderr) == (0, "")
    assert named == given.keys() == ENVIRONMENT.keys()


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_what_is_missing_in_the_environment_is_a_sentence(name: str) -> None:
    done = check({key: value for key, value in ENVIRONMENT.items() if key != name})

    assert done.returncode == 1
    assert name in done.stderr


def test_services_of_compose_are_those_that_configuration_and_addresses_name(compose: dict[str, Any]) -> None:
    services = compose["services"]
    config = tomllib.loads((DEPLOY / "config.toml").read_text())
    hosts = {
        *re.findall(r"http://([a-z]+):8001", str(config["upstreams"])),
        *re.findall(r"@([a-z]+)/|redis://([a-z]+):", str(services["gateway-a"]["environment"]))[0],
    } - {""}

    assert hosts <= services.keys()
    assert {"gateway-a", "gateway-b", "worker", "postgres", "valkey"} == services.keys()
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert [port.split(":")[-1] for port in ports] == [str(config["server"]["port"])] * 2


def test_commands_of_compose_and_of_the_unit_can_be_parsed(compose: dict[str, Any]) -> None:
    unit = (DEPLOY / "nijika.service").read_text()
    (start,) = re.findall(r"(?m)^ExecStart=\S+/nijika (.+)$", unit)
    module, *options = compose["services"]["worker"]["command"][2:]

    assert module == "worker"
    assert worker._parser().parse_args(options).host == "0.0.0.0"
    assert _parser().parse_args(start.split()).data == Path("/var/lib/nijika")


def test_the_image_is_made_of_files_that_are_there() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied = re.findall(r"(?m)^COPY (?!--from)(\S+) ", text)

    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert "--require-hashes" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="There is no systemd-analyze here.")
def test_systemd_finds_nothing_wrong_with_the_unit_but_that_nijika_is_not_installed() -> None:
    command = ("systemd-analyze", "verify", str(DEPLOY / "nijika.service"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    complaints = [line for line in done.stderr.splitlines() if "nijika.service" in line]
    assert [line for line in complaints if "is not executable" not in line and "Failed to resolve" not in line] == []
