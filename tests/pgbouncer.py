"""A real pgbouncer in transaction mode, in front of a test's database."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from nijika.local.privileges import identities
from tests.providers.lacking import lack

START_SECONDS = 20.0
SERVERS_MAX = 3  # connections to PostgreSQL: far fewer than a gateway has to pgbouncer


class PgBouncer:
    """One process; `url` leads through it to the database of `database_url`, also while it is away."""

    def __init__(self, directory: Path, database_url: str) -> None:
        behind = urlsplit(database_url)
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self._port = sock.getsockname()[1]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        name, user = behind.path.removeprefix("/"), behind.username
        self.url = f"postgresql://{user}@127.0.0.1:{self._port}/{name}"
        target = f"host={parse_qs(behind.query)['host'][0]} port=5432 user={user}"
        (directory / "users.txt").write_text(f'"{user}" ""\n')
        (directory / "pgbouncer.ini").write_text(
            f"[databases]\n{name} = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self._port}\n"
            f"unix_socket_dir =\nauth_type = any\nauth_file = {directory}/users.txt\npool_mode = transaction\n"
            f"default_pool_size = {SERVERS_MAX}\nmax_client_conn = 200\n",
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        # It refuses root as PostgreSQL does, whose socket it has to get to.
        command = identities(None)[0].command(program(), str(self._directory / "pgbouncer.ini"))
        with (self._directory / "pgbouncer.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError(f"pgbouncer did not start:\n{(self._directory / 'pgbouncer.log').read_text()}")

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def program() -> str:
    """The path of pgbouncer."""
    path = shutil.which("pgbouncer")
    if path is None:
        lack("There is no pgbouncer here; on Debian: apt-get install pgbouncer.")
    return path
