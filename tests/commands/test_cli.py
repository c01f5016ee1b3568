"""The program as an operator runs it: its commands, beside a running gateway and alone, with the embedded PostgreSQL."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.local.ways import servers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

ROOT = Path(__file__).parents[2]
USAGES = """
import contextlib, io, json, sys
from nijika.__main__ import main
done = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["nijika", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = main()
        except SystemExit as end:
            status = end.code
    done.append((status, out.getvalue(), err.getvalue()))
print(json.dumps(done))
"""
END_SECONDS = 60
AT_ONCE = 4

CONFIGURATION = """
[server]
port = {port}

[credits]
signup_bonus = "2.5"

[[middlewares]]
use = "rate_limit"
rules = [{{ prefix = "/", limit = "1000/s" }}, {{ prefix = "/api/", limit = "500/s", burst = 700 }}]
[[middlewares]]
use = "api_key"
[[middlewares]]
use = "pricing"

[upstreams.worker]
urls = ["http://127.0.0.1:9"]

[[routes]]
use = "health"
[[routes]]
use = "account"
[[routes]]
use = "proxy"
path = "/api/removebg"
upstream = "worker"
target = "/v1/cutout"
price = "0.01"
body_bytes_max = 1000
"""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        assert (self.status, self.err) == (0, "")
        return json.loads(self.out)


@dataclass
class Folder:
    """A folder with a config.toml of its own, in which commands are run."""

    path: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the program, as a terminal would: in a group of its own."""
        return self.launch("-m", "nijika", *arguments)

    def launch(self, *words: str) -> subprocess.Popen[str]:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(self.path)}
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=self.path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str) -> Done:
        return ended(self.start(*arguments))

    def run_all(self, commands: Sequence[Sequence[str]]) -> list[Done]:
        """Run commands that do not need each other, a few at a time."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(lambda arguments: self.run(*arguments), commands))

    def usages(self, commands: Sequence[Sequence[str]]) -> list[Done]:
        """Run commands that end at once one after the other in one process, which is quicker."""
        done = ended(self.launch("-c", USAGES, json.dumps(commands)))
        assert (done.status, done.err) == (0, "")
        return [Done(*answer) for answer in json.loads(done.out)]

    def json(self, *arguments: str) -> Any:
        return self.run(*arguments, "--json").json()

    def serve(self) -> tuple[subprocess.Popen[str], str]:
        """Start `serve`; gives the address that it prints, once it prints it."""
        process = self.start("serve")
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), (line, process.stderr and process.stderr.read())
        return process, line.removeprefix("listening on ").strip()

    @property
    def lock(self) -> Path:
        return self.path / "data" / "postgres.lock"

    @property
    def socket_folder(self) -> Path:
        return Path(json.loads(self.lock.read_text())["run"])

    def sql(self, *statements: str) -> None:
        """Reach past the program, into its database."""
        asyncio.run(self._execute(json.loads(self.lock.read_text())["url"], statements))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What its database holds."""
        return asyncio.run(self._fetch(json.loads(self.lock.read_text())["url"], query))

    async def _fetch(self, url: str, query: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url)
        rows = [tuple(row) for row in await connection.fetch(query)]
        await connection.close()
        return rows

    async def _execute(self, url: str, statements: Sequence[str]) -> None:
        connection = await asyncpg.connect(url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    def is_clean(self) -> bool:
        """Whether nothing runs here, and nobody owns the data."""
        return servers(self.path / "data") == [] and (not self.lock.exists() or self.lock.read_text() == "")


@contextmanager
def made(port: int = 0) -> Iterator[Folder]:
    with tempfile.TemporaryDirectory(prefix="cli-", ignore_cleanup_errors=True) as name:
        folder = Folder(Path(name))
        folder.path.chmod(0o755)
        (folder.path / "config.toml").write_text(CONFIGURATION.format(port=port))
        try:
            yield folder
        finally:
            for process in folder.started:
                process.terminate()
            for process in folder.started:
                process.communicate(timeout=END_SECONDS)


@pytest.fixture(scope="module")
def folder() -> Iterator[Folder]:
    """A folder in which nothing is running."""
    with made() as folder:
        yield folder


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Folder, str]]:
    """A folder in which `serve` is running all the time, and its address."""
    with made() as folder:
        _, url = folder.serve()
        yield folder, url


@pytest.fixture
def beside(served: tuple[Folder, str]) -> Folder:
    return served[0]


@pytest.fixture
def url(served: tuple[Folder, str]) -> str:
    return served[1]


def ended(process: subprocess.Popen[str]) -> Done:
    out, err = process.communicate(timeout=END_SECONDS)
    assert "Traceback" not in err, err
    return Done(process.returncode, out, err)


def get(url: str, path: str, key: str = "") -> tuple[int, Any]:
    """Status and JSON of a call."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=END_SECONDS)
    try:
        connection.request("GET", path, headers={"X-API-Key": key} if key else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def make_user(folder: Folder, name: str, *more: str) -> dict[str, Any]:
    made: dict[str, Any] = folder.json("user", "add", name, *more)
    return made


# serve


def test_ctrl_c_within_the_first_start_leaves_nothing_and_the_next_start_works() -> None:
    with made() as folder:
        process = folder.start("serve")
        assert process.stderr is not None
        begun = process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        interrupted = ended(process)
        clean = folder.is_clean()

        again, url = folder.serve()
        status, _ = get(url, "/health")
        again.terminate()

        assert begun.startswith("Creating the database")
        assert (interrupted.status, interrupted.out) == (130, "")
        assert clean
        assert status == 200
        assert ended(again).status == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_accepts_when_it_says_so_and_leaves_nothing_behind(folder: Folder, number: signal.Signals) -> None:
    process, url = folder.serve()
    alive, ready = get(url, "/health")[0], get(url, "/ready")
    socket_folder = folder.socket_folder
    existed = socket_folder.exists(), bool(servers(folder.path / "data"))

    os.killpg(process.pid, number)
    done = ended(process)

    assert (alive, ready[0], ready[1]["database"]) == (200, 200, "ok")
    assert existed == (True, True)
    assert (done.status, done.out) == (0, "")
    assert folder.is_clean()
    assert not socket_folder.exists()
    with pytest.raises(ConnectionRefusedError):
        get(url, "/health")


def test_ctrl_c_within_a_later_start_leaves_nothing(folder: Folder) -> None:
    folder.run("migrate")
    process = folder.start("serve")
    while process.poll() is None and not servers(folder.path / "data"):
        pass
    os.killpg(process.pid, signal.SIGINT)

    done = ended(process)

    assert done.status in {0, 130}
    assert folder.is_clean()


def test_the_secret_that_is_made_is_kept_for_its_owner_only(folder: Folder) -> None:
    key = make_user(folder, "keeper")["api_key"]
    secret = folder.path / "data" / "secret"

    process, url = folder.serve()
    status, _ = get(url, "/api/account", key)
    process.terminate()

    assert ended(process).status == 0
    assert status == 200
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text()) >= 32


def test_a_busy_port_is_one_sentence_and_starts_no_database() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        with made(busy.getsockname()[1]) as folder:
            done = folder.run("serve")

            assert (done.status, done.out) == (1, "")
            assert done.err.count("\n") == 1
            assert f"127.0.0.1:{busy.getsockname()[1]}" in done.err
            assert folder.is_clean()
            assert not (folder.path / "data" / "postgres").exists()


def test_a_second_serve_on_the_same_data_is_refused_with_a_sentence(beside: Folder, url: str) -> None:
    done = beside.run("serve")

    assert (done.status, done.out) == (1, "")
    assert "is in use by the nijika process" in done.err
    assert done.err.count("\n") == 1
    assert get(url, "/ready")[0] == 200


# Beside a running serve


def test_a_new_users_key_works_at_once_and_shows_the_credits(beside: Folder, url: str) -> None:
    made = make_user(beside, "ada", "--email", "ada@example.com", "--credits", "0.1")

    status, account = get(url, "/api/account", made["api_key"])

    assert set(made) == {"user", "account", "api_key", "credits"}
    assert made["credits"] == "0.1"
    assert status == 200
    assert {name: account[name] for name in ("account", "available", "held", "spent", "granted")} == {
        "account": made["account"],
        "available": "0.1",
        "held": "0",
        "spent": "0",
        "granted": "0.1",
    }


def test_a_new_user_begins_with_the_bonus_unless_told_otherwise(beside: Folder) -> None:
    text = beside.run("user", "add", "bonus")
    none = make_user(beside, "no bonus", "--credits", "0")

    told = dict(line.split(maxsplit=1) for line in text.out.splitlines())
    assert (text.status, text.err) == (0, "")
    assert told["credits"] == "2.5"
    assert told["api_key"].startswith("nj_live_")
    assert none["credits"] == "0"


def test_users_are_listed_and_shown(beside: Folder) -> None:
    made = make_user(beside, "shown", "--email", "Shown@example.com", "--role", "moderator", "--credits", "1.50")

    listed = beside.json("user", "list")
    shown = [beside.json("user", "show", who) for who in ("shown", "SHOWN", "shown@EXAMPLE.com", str(made["user"]))]
    table = beside.run("user", "list").out
    text = beside.run("user", "show", "shown").out

    assert [row for row in listed if row["id"] == made["user"]] == [shown[0]]
    assert shown == [shown[0]] * 4
    row = shown[0]
    assert (row["name"], row["email"], row["role"]) == ("shown", "Shown@example.com", "moderator")
    assert [row[name] for name in ("available", "held", "spent", "granted")] == ["1.5", "0", "0", "1.5"]
    assert row["suspended"] is None
    assert "Shown@example.com" in table
    assert "Shown@example.com" in text
    assert made["api_key"] not in table + text


def test_a_suspended_users_keys_are_refused_until_it_is_resumed(beside: Folder, url: str) -> None:
    key = make_user(beside, "suspect")["api_key"]
    before, _ = get(url, "/api/account", key)

    suspended = beside.run("user", "suspend", "suspect")
    during, problem = get(url, "/api/account", key)
    resumed = beside.json("user", "resume", "suspect")
    after, _ = get(url, "/api/account", key)

    assert (suspended.status, suspended.out) == (0, "suspect is suspended.\n")
    assert resumed["suspended"] is None
    assert (before, during, after) == (200, 403, 200)
    assert problem["code"] == "account-suspended"


def test_a_role_is_changed_and_the_last_admin_stays(beside: Folder) -> None:
    make_user(beside, "boss", "--role", "admin")
    make_user(beside, "helper")

    last = beside.run("user", "role", "boss", "user")
    made = beside.json("user", "role", "helper", "admin", "--reason", "so that one is left")
    down = beside.run("user", "role", "boss", "moderator")
    last_again = beside.run("user", "role", "helper", "user")
    beside.sql("UPDATE users SET role = 'user' WHERE name = 'helper'")

    assert (last.status, last.out, last.err.count("\n")) == (1, "", 1)
    assert "last admin" in last.err
    assert made["role"] == "admin"
    assert (down.status, down.out) == (0, "The role of boss is moderator.\n")
    assert last_again.status == 1


def test_what_an_operator_does_is_written_down_without_an_actor(beside: Folder) -> None:
    user = make_user(beside, "watched", "--credits", "1")["user"]
    beside.run("user", "suspend", "watched", "--reason", "spam")
    beside.run("user", "resume", "watched")
    beside.run("user", "role", "watched", "moderator")
    beside.run("credits", "grant", "watched", "2", "--reason", "a gift")
    beside.run("credits", "take", "watched", "0.5", "--reason", "too much")
    refused = beside.run("credits", "take", "watched", "99", "--reason", "x")

    rows = beside.rows(f"SELECT actor, action, before, after, reason FROM audit WHERE subject = {user} ORDER BY id")

    assert refused.status == 1
    assert rows == [
        (None, "added", None, '{"role": "user", "credits": "1"}', None),
        (None, "suspended", '{"suspended": false}', '{"suspended": true}', "spam"),
        (None, "resumed", '{"suspended": true}', '{"suspended": false}', None),
        (None, "role changed", '{"role": "user"}', '{"role": "moderator"}', None),
        (None, "credits given", '{"available": "1"}', '{"available": "3"}', "a gift"),
        (None, "credits taken", '{"available": "3"}', '{"available": "2.5"}', "too much"),
    ]


def test_keys_are_added_listed_and_revoked(beside: Folder, url: str) -> None:
    first = make_user(beside, "keys")["api_key"]

    second = beside.json("key", "add", "keys", "--name", "phone", "--days", "30", "--scope", "/api/account")["api_key"]
    listed = beside.json("key", "list", "keys")
    allowed, elsewhere = get(url, "/api/account", second)[0], get(url, "/api/usage", second)[0]
    revoked = beside.run("key", "revoke", str(listed[1]["id"]))
    statuses = get(url, "/api/account", first)[0], get(url, "/api/account", second)[0]
    again = beside.run("key", "revoke", str(listed[1]["id"]))
    table = beside.run("key", "list", "keys").out

    assert [row["name"] for row in listed] == ["first key", "phone"]
    assert [row["key"] for row in listed] == [f"nj_live_…{key[-4:]}" for key in (first, second)]
    assert (listed[1]["scopes"], bool(listed[1]["expires"])) == ("/api/account", True)
    assert (allowed, elsewhere) == (200, 403)
    assert revoked.status == 0
    assert statuses == (200, 401)
    assert again.status == 1
    assert again.err.startswith("There is no living key")
    assert "phone" in table
    assert second not in table


def test_a_key_can_be_capped_when_it_is_made_and_later(beside: Folder) -> None:
    make_user(beside, "capped")

    beside.json("key", "add", "capped", "--name", "small", "--per-day", "0.5", "--per-month", "10")
    made = beside.json("key", "list", "capped")
    capped = beside.run("key", "cap", str(made[0]["id"]), "--per-day", "2")
    changed = beside.run("key", "cap", str(made[1]["id"]), "--per-day", "1")
    freed = beside.json("key", "cap", str(made[1]["id"]), "--per-day", "none", "--per-month", "none")
    listed = beside.json("key", "list", "capped")

    assert [(row["per_day"], row["per_month"]) for row in made] == [(None, None), ("0.5", "10")]
    assert capped.out == f"Key {made[0]['id']} may spend 2 a day.\n"
    assert changed.out == f"Key {made[1]['id']} may spend 1 a day and 10 a month.\n"
    assert freed == {"key": made[1]["id"], "per_day": None, "per_month": None}
    assert [(row["per_day"], row["per_month"]) for row in listed] == [("2", None), (None, None)]


def test_credits_are_granted_to_the_last_millionth(beside: Folder, url: str) -> None:
    made = make_user(beside, "rich", "--credits", "0.1")

    granted = [
        beside.json("credits", "grant", "rich", amount, "--reason", "a gift")["available"]
        for amount in ("0.2", "0.000001", "999999999.9")
    ]
    text = beside.run("credits", "grant", "rich", "1", "--reason", "x")

    assert granted == ["0.3", "0.300001", "1000000000.200001"]
    assert text.out == "1 granted; 1000000001.200001 available.\n"
    assert get(url, "/api/account", made["api_key"])[1]["available"] == "1000000001.200001"


def test_available_credits_are_taken_and_no_more(beside: Folder, url: str) -> None:
    made = make_user(beside, "taxed", "--credits", "10")

    taken = beside.json("credits", "take", "taxed", "2.5", "--reason", "a mistake")
    too_much = beside.run("credits", "take", "taxed", "7.500001", "--reason", "x")
    rest = beside.run("credits", "take", "taxed", "7.5", "--reason", "x")

    assert taken == {"user": made["user"], "taken": "2.5", "available": "7.5"}
    assert (too_much.status, too_much.out) == (1, "")
    assert too_much.err == "The account has 7.5 credits available, and cannot go below zero. Nothing was changed.\n"
    assert rest.out == "7.5 taken; 0 available.\n"
    assert get(url, "/api/account", made["api_key"])[1]["granted"] == "0"


def test_more_credit_than_an_account_can_hold_is_refused_with_a_sentence(beside: Folder) -> None:
    make_user(beside, "richest", "--credits", "0")
    beside.sql(
        "UPDATE accounts SET available = 9223372036854000000, granted = 9223372036854000000"
        " WHERE id = (SELECT account FROM users WHERE name = 'richest')"
    )
    try:
        done = beside.run("credits", "grant", "richest", "1000000000000", "--reason", "x")
    finally:
        beside.sql(
            "UPDATE accounts SET available = 0, granted = 0"
            " WHERE id = (SELECT account FROM users WHERE name = 'richest')"
        )

    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)


REFUSED: list[list[str]] = [
    ["user", "show", "nobody"],
    ["key", "list", "nobody"],
    ["credits", "grant", "nobody", "1", "--reason", "x"],
    *(["credits", "grant", "taken", amount, "--reason", "x"] for amount in ("0", "-1", "1e3", "0.0000001", "")),
    *(["credits", "take", "taken", amount, "--reason", "x"] for amount in ("0", "-1", "1e3", "")),
    ["user", "role", "nobody", "admin"],
    ["user", "suspend", "nobody"],
    ["key", "revoke", "999999"],
    ["key", "cap", "999999", "--per-day", "1"],
    ["key", "add", "taken", "--per-month", "1e3"],
    ["ledger", "show", "00000000-0000-7000-8000-000000000000"],
    ["ledger", "archive", "--before", "2999-01"],
    ["key", "revoke", "99999999999999999999"],
    ["key", "revoke", "-1"],
    ["user", "add", " "],
    ["user", "add", "taken"],
    ["user", "add", "other", "--email", "TAKEN@example.com"],
    ["user", "add", "other", "--credits", "0.1.1"],
    ["key", "add", "taken", "--scope", "/api/remvebg"],
    ["key", "add", "taken", "--days", "0"],
    ["key", "add", "taken", "--days", "nan"],
    ["explain", "GET", "/health", "--ip", "localhost"],
]


def test_what_cannot_be_done_is_told_in_a_sentence(beside: Folder) -> None:
    make_user(beside, "taken", "--email", "taken@example.com")
    before = beside.json("user", "list")

    for arguments, done in zip(REFUSED, beside.run_all(REFUSED), strict=True):
        assert (done.status, done.out) == (1, ""), arguments
        assert done.err.count("\n") == 1, (arguments, done.err)
    assert beside.json("user", "list") == before


def test_a_name_in_any_letters_is_a_name(beside: Folder) -> None:
    make_user(beside, "Зоя O'Brien; DROP TABLE users --")

    listed = beside.json("user", "list")

    assert "Зоя O'Brien; DROP TABLE users --" in [row["name"] for row in listed]


def test_ledger_verify_counts_zeros_and_fails_after_sabotage(beside: Folder) -> None:
    make_user(beside, "honest", "--credits", "1")

    fine, fine_text = beside.json("ledger", "verify"), beside.run("ledger", "verify")
    beside.sql("UPDATE accounts SET available = available + 1, granted = granted + 1 WHERE id = 1")
    broken, broken_text = beside.run("ledger", "verify", "--json"), beside.run("ledger", "verify")
    beside.sql("UPDATE accounts SET available = available - 1, granted = granted - 1 WHERE id = 1")
    mended = beside.run("ledger", "verify")

    assert set(fine.values()) == {0}
    assert len(fine) == 9
    assert {line.split()[0] for line in fine_text.out.splitlines()} == {"0"}
    assert (fine_text.status, broken.status, broken_text.status, mended.status) == (0, 1, 1, 0)
    assert {name: count for name, count in json.loads(broken.out).items() if count} == {
        "balances are the replay of the journal": 1
    }
    assert "     1  balances are the replay of the journal\n" in broken_text.out


def test_open_charges_and_single_ones_can_be_looked_at(beside: Folder) -> None:
    account = make_user(beside, "looked at", "--credits", "1")["account"]
    charge = "01a20827-a218-7632-9bd4-34db669ada06"
    beside.sql(
        f"UPDATE accounts SET available = available - 250000, held = 250000 WHERE id = {account}",
        "INSERT INTO charges (id, account, key, held, route, owner, opened_at, deadline) VALUES "
        f"('{charge}', {account}, 1, 250000, '/api/removebg', (SELECT id FROM instances LIMIT 1), "
        "now() - interval '90 seconds', now() + interval '1 hour')",
        "INSERT INTO journal (id, step, kind, account, available, held, granted, spent) "
        f"VALUES ('{charge}', 0, 'hold', {account}, -250000, 250000, 0, 0)",
    )

    stuck = beside.json("ledger", "stuck")
    table = beside.run("ledger", "stuck").out
    shown = beside.json("ledger", "show", charge)
    text = beside.run("ledger", "show", charge).out

    assert [(row["id"], row["held"], row["account"], row["owner_state"]) for row in stuck] == [
        (charge, "0.25", account, "alive")
    ]
    assert stuck[0]["age_seconds"] >= 90
    assert stuck[0]["owner"] in table
    assert (shown["charge"]["state"], shown["charge"]["held"]) == ("held", "0.25")
    assert [(entry["kind"], entry["available"]) for entry in shown["journal"]] == [("hold", "-0.25")]
    assert "/api/removebg" in text


@pytest.mark.parametrize("arguments", [["show", "nonsense"], ["archive", "--before", "yesterday"], ["archive"]])
def test_a_ledger_command_with_nonsense_is_wrong_usage(folder: Folder, arguments: list[str]) -> None:
    done = folder.usages([["ledger", *arguments]])[0]

    assert done.status == 2
    assert "nonsense" in done.err or "yesterday" in done.err or "--before" in done.err


def test_commands_at_once_all_succeed(beside: Folder) -> None:
    make_user(beside, "busy", "--credits", "0")

    all_done = beside.run_all([["credits", "grant", "busy", "0.1", "--reason", "x"]] * 4)

    assert [done.status for done in all_done] == [0] * 4
    assert beside.json("user", "show", "busy")["available"] == "0.4"


# Without a running serve


def test_commands_work_alone_and_leave_nothing_running(folder: Folder) -> None:
    migrated = folder.run("migrate")
    made = make_user(folder, "alone")
    shown = folder.json("user", "show", "alone")

    assert (migrated.status, migrated.out) == (0, "The database is up to date.\n")
    assert shown["id"] == made["user"]
    assert folder.is_clean()


def test_check_prints_chain_and_routes(folder: Folder) -> None:
    text, data = folder.run("check"), folder.json("check")

    assert (text.status, text.err) == (0, "")
    assert "rate_limit > api_key > pricing" in text.out
    priced = next(line.split() for line in text.out.splitlines() if "/api/removebg" in line)
    assert priced == ["POST", "/api/removebg", "0.01", "yes", "worker", "/v1/cutout", "1000"]
    assert data["chain"] == ["rate_limit", "api_key", "pricing"]
    assert [row["path"] for row in data["routes"]] == [
        "/api/account",
        "/api/charges/{id}",
        "/api/removebg",
        "/api/usage",
        "/health",
        "/ready",
        "/static/{file}",
    ]


def test_check_tells_all_mistakes_and_so_does_every_command(folder: Folder) -> None:
    bad = folder.path / "bad.toml"
    bad.write_text('[server]\nhots = "x"\nport = 99999\n[[routes]]\nuse = "helth"\n')

    commands = (["check"], ["serve"], ["user", "list"], ["explain", "GET", "/"])
    for done in folder.run_all([[*command, "--config", "bad.toml"] for command in commands]):
        assert (done.status, done.out) == (1, "")
        lines = done.err.splitlines()
        assert lines[0] == "bad.toml has 3 mistakes:"
        assert sorted(line.split(":")[0].strip() for line in lines[1:]) == [
            "routes[0].use",
            "server.hots",
            "server.port",
        ]
        assert 'did you mean "host"?' in done.err
        assert 'did you mean "health"?' in done.err


def test_a_missing_file_is_told(folder: Folder) -> None:
    done = folder.run("check", "--config", "none.toml")

    assert (done.status, done.out) == (1, "")
    assert "does not exist" in done.err


def test_explain_tells_how_many_calls_of_whom_may_be_under_way(folder: Folder) -> None:
    rule = '[[middlewares]]\nuse = "rate_limit"\nrules = [{ prefix = "/api/", concurrency = 4, per = "account" }]\n'
    pricing = '[[middlewares]]\nuse = "pricing"'
    text = (folder.path / "config.toml").read_text()
    assert pricing in text
    (folder.path / "bounded.toml").write_text(text.replace(pricing, rule + pricing))

    rows = folder.json("explain", "POST", "/api/removebg", "--config", "bounded.toml")

    assert {"step": "at once", "what": "each account: 4 calls under way"} in rows


def test_explain_tells_who_takes_a_call_that_cannot_be_sent(folder: Folder) -> None:
    text = (folder.path / "config.toml").read_text()
    spares = '\n[upstreams.{}]\nurls = ["http://{}"]\n'
    chain = spares.format("spare", "b") + 'fallback = "last"\n' + spares.format("last", "c")
    text = text.replace("[upstreams.worker]", '[upstreams.worker]\nfallback = "spare"') + chain
    (folder.path / "chained.toml").write_text(text)

    rows = folder.json("explain", "POST", "/api/removebg", "--config", "chained.toml")

    assert [row["what"] for row in rows if row["step"] == "or else"] == ["spare: http://b", "last: http://c"]


def test_explain_tells_what_a_call_meets(folder: Folder) -> None:
    priced = folder.run("explain", "post", "/%61pi/removebg", "--ip", "2001:db8::1")
    own = {row["step"]: row["what"] for row in folder.json("explain", "GET", "/health")}
    refused = [folder.run("explain", "GET", path).out for path in ("/api/removebg", "/nowhere", "/a/../b")]

    steps = dict(line.split(maxsplit=1) for line in priced.out.splitlines())
    assert priced.status == 0
    assert steps["path"] == "/api/removebg (canonical)"
    assert steps["limit"].startswith("2001:db8::/64: 500 a second, 700 at once")
    assert steps["limit"].endswith("(longest matching prefix: /api/)")
    assert (steps["key"], steps["price"]) == ("needed", "0.01")
    assert steps["upstream"] == "worker: http://127.0.0.1:9"
    assert steps["target"] == "/v1/cutout"
    assert (own["key"], own["price"], own["answer"]) == ("not needed", "free", "made by the gateway itself")
    assert [next(line.split()[1] for line in out.splitlines() if line.startswith("refused")) for out in refused] == [
        "405",
        "404",
        "400",
    ]


COMMANDS = [
    "",
    "demo",
    "serve",
    "check",
    "migrate",
    "explain",
    "user",
    "user add",
    "user list",
    "user show",
    "user suspend",
    "user resume",
    "user role",
    "key",
    "key add",
    "key list",
    "key revoke",
    "credits",
    "credits grant",
    "credits take",
    "ledger",
    "ledger verify",
]
WRONG = [
    "",
    "serv",
    "user",
    "user add",
    "user add x --role king",
    "user list extra",
    "user list --jso",
    "key revoke first",
    "key add x --days soon",
    "credits grant x 1",
    "explain GET",
    "demo --port 65536",
    "check --conf x",
]


def test_every_command_has_help(folder: Folder) -> None:
    all_done = folder.usages([[*command.split(), "--help"] for command in COMMANDS])

    for command, done in zip(COMMANDS, all_done, strict=True):
        assert (done.status, done.err) == (0, ""), command
        assert done.out.startswith(f"usage: nijika {command}".rstrip()), command


def test_wrong_usage_is_exit_2(folder: Folder) -> None:
    all_done = folder.usages([command.split() for command in WRONG])

    for command, done in zip(WRONG, all_done, strict=True):
        assert (done.status, done.out) == (2, ""), command
        assert done.err.startswith("usage: nijika"), command


def test_who_has_seen_enough_of_the_output_may_leave(folder: Folder) -> None:
    process = folder.start("check")
    folder.started.remove(process)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()

        err = process.stderr.read()

    assert (process.returncode, err) == (0, "")
