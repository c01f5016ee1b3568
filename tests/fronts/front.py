"""nginx, haproxy or Caddy, each as its file in deploy/ has it: only ports, names and certificates are the test's own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nijika.local.privileges import Identity
from tests.fronts.certificate import Certificate
from tests.providers.lacking import lack

DEPLOY = Path(__file__).parents[2] / "deploy"
START_SECONDS = 20.0
GATEWAYS = ("127.0.0.1:8080", "127.0.0.1:8081")


@dataclass(frozen=True)
class Site:
    """Where a front keeps its files, where it listens, and the places (host:port) of its two gateways.

    Without a certificate it speaks plain HTTP/1.1, as behind another front.
    """

    directory: Path
    place: str
    gateways: tuple[str, str]
    certificate: Certificate | None

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.place}"

    def example(self, name: str, *changes: tuple[str, str]) -> Path:
        """The file of deploy/ with this site's own places; each text to be changed stands in it once."""
        text = (DEPLOY / name).read_text()
        for old, new in (*zip(GATEWAYS, self.gateways, strict=True), *changes):
            assert text.count(old) == 1, f"{old} is not once in deploy/{name}"
            text = text.replace(old, new)
        file = self.directory / name
        file.write_text(text)
        return file


def nginx(site: Site) -> list[str]:
    """The command of an nginx."""
    listen, certificate = "listen 443 ssl http2;", site.certificate
    lines = (
        "    ssl_certificate /etc/nginx/api.example.com.pem;\n",
        "    ssl_certificate_key /etc/nginx/api.example.com.key;\n",
    )
    if certificate is None:
        changes = [(listen, f"listen {site.place};"), *((line, "") for line in lines)]
    else:
        changes = [
            (listen, f"listen {site.place} ssl http2;"),
            (lines[0], f"    ssl_certificate {certificate.certificate};\n"),
            (lines[1], f"    ssl_certificate_key {certificate.key};\n"),
        ]
    file = site.example("nginx.conf", *changes)
    temporary = "".join(
        f"{name}_temp_path {site.directory}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = site.directory / "main.conf"
    main.write_text(
        f"daemon off;\nworker_processes 1;\npid {site.directory}/nginx.pid;\nerror_log stderr info;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}include {file};\n}}\n"
    )
    return ["nginx", "-e", "stderr", "-c", str(main)]


def haproxy(site: Site) -> list[str]:
    """The command of a haproxy."""
    bind = "bind :443 ssl crt /etc/haproxy/api.example.com.pem alpn h2,http/1.1"
    secure = f" ssl crt {site.certificate.both} alpn h2,http/1.1" if site.certificate else ""
    file = site.example("haproxy.cfg", (bind, f"bind {site.place}{secure}"))
    section = site.directory / "global.cfg"
    section.write_text("global\n    maxconn 500\n")
    return ["haproxy", "-db", "-f", str(section), "-f", str(file)]


def caddy(site: Site) -> list[str]:
    """The command of a Caddy; behind another front it is told whose word on addresses counts."""
    if site.certificate is None:
        address = f"http://{site.place} {{\n\tbind 127.0.0.1"
        changes = [("lb_policy least_conn", "lb_policy least_conn\n\t\ttrusted_proxies 127.0.0.1/32")]
    else:
        address = (
            f"https://{site.place} {{\n\tbind 127.0.0.1\n\ttls {site.certificate.certificate} {site.certificate.key}"
        )
        changes = []
    file = site.example("Caddyfile", ("api.example.com {", address), *changes)
    options = "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
    file.write_text(options + file.read_text())
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]


KINDS: dict[str, Callable[[Site], list[str]]] = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy}


@contextmanager
def running(kind: str, directory: Path, gateways: tuple[str, str], certificate: Certificate | None) -> Iterator[Site]:
    """A front of this kind that listens, until the block ends; it ends with this process, whatever ends that."""
    directory.mkdir()
    site = Site(directory, f"127.0.0.1:{_free_port()}", gateways, certificate)
    name, *words = KINDS[kind](site)
    command = Identity("same", os.geteuid(), os.getegid()).command(program(name), *words)
    log = directory / "log"
    home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **home}
        )
    try:
        _wait(process, site.place, log)
        yield site
    finally:
        process.terminate()
        process.wait()


def program(name: str) -> str:
    """The path of a front's program."""
    path = shutil.which(name)
    if path is None:
        lack(f"There is no {name} here; on Debian: apt-get install {name}.")
    return path


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _wait(process: "subprocess.Popen[bytes]", place: str, log: Path) -> None:
    host, _, port = place.partition(":")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")
