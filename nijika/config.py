"""config.toml as a typed tree; a file with mistakes tells all of them at once."""

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from nijika import rules, toml
from nijika.credits import Amount
from nijika.errors import ConfigError, Mistake
from nijika.limits.settings import PerTimeSetting
from nijika.middlewares import MIDDLEWARES
from nijika.middlewares.traced import Traces
from nijika.module import Middleware, Module, Plugin, Settings
from nijika.pages import files
from nijika.plugins import PLUGINS
from nijika.proxy.place import base_url
from nijika.route import Routes
from nijika.toml import Unset

M = TypeVar("M", bound=Module)

PROCESSES_MAX = 64
SECONDS_MAX = 604_800  # a week; more than this is a slip of the pen

_POSTGRES = ("postgres://", "postgresql://")
_PLACE = re.compile(r"(?:\[[^\]@]*\]|[^:@\[\]]*)(?::[0-9]{1,5})?", re.ASCII)

Seconds = Annotated[float, Field(gt=0, le=SECONDS_MAX, title="seconds")]


class Server(Settings):
    """`[server]`: where nijika listens, with how many processes, and how long it waits for callers."""

    host: str = "127.0.0.1"
    """The address to listen on. `0.0.0.0` or `::` to be reached from other machines; `secrets` are needed then."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The port to listen on; 0 takes a free one, which `nijika serve` prints."""
    public_url: str = "http://127.0.0.1:8080"
    """Where callers reach the gateway: scheme, host and port. Links, redirects of a sign-in and the reference are made
    from it, never from what a caller sends as Host; with https, cookies are marked Secure. Set it before you publish.
    """
    processes: Annotated[int, Field(ge=1, le=PROCESSES_MAX)] = 1
    """How many processes share the port, under a supervisor that starts them again. One for each core that is left
    beside PostgreSQL and the worker; each has its own connections to the database (operations.md).
    """
    head_seconds: Seconds = 10
    """A whole request head must arrive within this, from its first byte. Guards against callers who trickle."""
    idle_seconds: Seconds = 75
    """A connection without a request is closed after this. Longer than your balancer keeps one open."""
    body_seconds: Seconds = 30
    """A body must make progress within this: 4 KiB, or its end. More for callers on very bad lines."""
    write_seconds: Seconds = 60
    """A caller must read 4 KiB, or all that waits for it, within this; who does not is cut off."""
    drain_seconds: Seconds = 30
    """How long open calls may go on after Ctrl-C or SIGTERM. Long enough for your slowest call; whatever stops the
    service must wait longer still before it kills.
    """
    secrets: tuple[str, ...] = ()
    """What keys, sessions and cookies are sealed with, 32 characters at least; the first one seals, all open. To
    change it, put the new one first and keep the old one behind it. Without any, on loopback, one is made and kept in
    `data/secret`. Whoever loses them makes every key invalid.
    """
    log: Literal["text", "json"] = "text"
    """The form of the log on standard error: readable lines, or a JSON object on each line for programs. What the
    supervisor itself says changes its form with a restart.
    """


def _database_url(text: str) -> str:
    if text != "embedded" and not text.startswith(_POSTGRES):
        raise ValueError('is "embedded" or an address such as "postgresql://user@host/name"')
    return _with_places(text)


def _postgres_url(text: str) -> str:
    if not text.startswith(_POSTGRES):
        raise ValueError('is the address of PostgreSQL itself, such as "postgresql://user@host/name"')
    return _with_places(text)


def _with_places(text: str) -> str:
    """Nothing of it is repeated: what is taken for a port may be a piece of the password."""
    places = text.partition("://")[2].partition("?")[0].partition("/")[0].rpartition("@")[2].split(",")
    if "#" in text or not all(_PLACE.fullmatch(place) for place in places):
        raise ValueError('has no host and port that can be read; in a password "/" is written %2F, and "#" is %23')
    return text


def _wire_path(text: str) -> str:
    if re.fullmatch(r"/[!-\"$-~]*", text, re.ASCII) is None:
        raise ValueError(f'"{text}" is no path; it begins with "/" and holds no space and no "#"')
    return text


def _headers(fields: dict[str, str]) -> dict[str, str]:
    for name, value in fields.items():
        if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) is None or re.fullmatch(r"[\t -~]*", value) is None:
            raise ValueError(f'"{name}" is no header field that can be sent')
    return fields


class Database(Settings):
    """`[database]`: where accounts, keys, charges and sessions are."""

    url: Annotated[str, AfterValidator(_database_url), Field(title="`embedded`, or an address")] = "embedded"
    """`embedded` starts the PostgreSQL of the wheel, in `data/`. An address such as `postgresql://user@host/name` for
    one of your own, which several gateways can share.
    """
    connections_max: PositiveInt = 10
    """Connections of each process; the ledger has one more. More only if calls wait for one: most wait for the disk."""
    pgbouncer: bool = False
    """The url leads to a pgbouncer in transaction mode: nothing is prepared then, which costs some speed."""
    listen_url: Annotated[str, AfterValidator(_postgres_url), Field(title="address")] | None = None
    """Past the pgbouncer, straight to PostgreSQL: changes of keys are heard there at once, and not after seconds."""

    @model_validator(mode="after")
    def _between_two(self) -> Self:
        if self.pgbouncer and self.url == "embedded":
            raise ValueError("pgbouncer stands in front of a PostgreSQL of your own: it needs its url")
        if self.listen_url is not None and not self.pgbouncer:
            raise ValueError("listen_url leads past a pgbouncer: it needs pgbouncer = true, or can be left out")
        return self

    def heard_at(self, url: str) -> str | None:
        """Where changes of keys can be heard, if the database is at `url`; None: nowhere."""
        return self.listen_url if self.pgbouncer else url


class LedgerSettings(Settings):
    """`[ledger]`: what is held when a process dies."""

    lease_seconds: Annotated[float, Field(ge=2, le=SECONDS_MAX, title="seconds")] = 30
    """A process without a sign of life for this long is dead: others refund its open charges, and it may not go on.
    Less gives callers their credit back sooner; more bears longer pauses of machines and databases.
    """


class Credits(Settings):
    """`[credits]`: what a new account begins with."""

    signup_bonus: Amount = 0
    """What an account begins with: by sign-in, once for each identity for ever, or by `nijika user add`."""


def _web_url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment or not text.isprintable():
        raise ValueError(f'"{text}" is no address such as "https://github.example.com/login/oauth/authorize"')
    return text


WebUrl = Annotated[str, AfterValidator(_web_url), Field(title="address")]


class Provider(Settings):
    """One provider of sign-in."""

    client_id: Annotated[str, Field(min_length=1)]
    """The application's id, as the provider gave it (sign-in.md tells where)."""
    client_secret: Annotated[str, Field(min_length=1)]
    """Its secret; `$NAME` takes it from the environment, and while that is unset the provider is off."""
    authorize_url: WebUrl | None = None
    """Where a sign-in begins, for GitHub Enterprise or a GitLab of your own. All three addresses, or none."""
    token_url: WebUrl | None = None
    """Where its code is exchanged."""
    api_url: WebUrl | None = None
    """Where the person is asked for: `https://HOST/api/v3` of GitHub Enterprise, `https://HOST/api/v4` of GitLab."""
    trust_email: bool = False
    """This host's word on e-mail addresses counts: who has the address of an account here there, gets into that
    account. github.com's always does; of other hosts you must know whether they verify addresses.
    """

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        """A secret must not go to one host because the address of another was forgotten."""
        if len({self.authorize_url is None, self.token_url is None, self.api_url is None}) > 1:
            raise ValueError("authorize_url, token_url and api_url are given together, or none of them")
        return self


class Login(Settings):
    """`[login]`: how people sign in; a provider whose variables are unset is off."""

    first_user_is_admin: bool = False
    """Who signs in first, while there is nobody else, becomes admin. Off: `nijika user role` makes one."""
    github: Provider | None = None
    """Sign-in by GitHub, or GitHub Enterprise."""
    gitlab: Provider | None = None
    """Sign-in by gitlab.com, or a GitLab of your own; the settings are those of `github`."""


class WakeSettings(Settings):
    """How a worker that was scaled to zero is woken."""

    path: Annotated[str, AfterValidator(_wire_path), Field(title="path")]
    """What is asked until it is answered well, such as `/ready`: cheap, and without a body."""
    seconds: Seconds
    """How long that may take before the call is refused with 503. As long as the worker's slowest start."""


class CheckSettings(Settings):
    """How a worker is asked in the background whether it is well."""

    path: Annotated[str, AfterValidator(_wire_path), Field(title="path")]
    """A GET of this path is good when it is answered with 2xx."""
    seconds: Seconds
    """From one check to the next; each must be answered within as many."""


class UpstreamSettings(Settings):
    """`[upstreams.NAME]`: a worker, at one address or several."""

    urls: Annotated[tuple[Annotated[str, AfterValidator(base_url), Field(title="address")], ...], Field(min_length=1)]
    """Where the worker is. Of several the least busy is asked; one that cannot be connected to rests for a while."""
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)
    """Fields sent with every request to this upstream, such as its credentials; they win over the caller's."""
    connect_seconds: Seconds = 5
    """How long a connection may take to come about."""
    first_byte_seconds: Seconds = 160
    """How long the worker may work before its answer begins. Longer than its slowest call takes."""
    idle_seconds: Seconds = 60
    """The longest silence between two pieces of an answer."""
    total_seconds: Seconds = 600
    """The longest that a whole call may take, without the time in which it is the caller who is waited for."""
    wake: WakeSettings | None = None
    """For a worker that is scaled to zero: it is woken before a large body is sent, and a small one is sent again."""
    max_rate: PerTimeSetting | None = None
    """Each process begins calls at most at this pace, and others wait for a moment: for workers that shed load."""
    failures_max: PositiveInt = 5
    """An address rests after this many failed calls in a row: broken off, too late, or 5xx other than 503."""
    rest_seconds: Seconds = 1
    """The first rest of an address; each further one in a row is twice as long."""
    rest_seconds_max: Seconds = 30
    """No rest is longer than this."""
    check: CheckSettings | None = None
    """Ask each address in the background; off unless it is given, since a worker scaled to zero would be woken."""
    concurrency: PositiveInt | None = None
    """Calls under way at each address, by each process; others wait in the queue. Left out: any number."""
    queue: NonNegativeInt = 100
    """This many calls wait for room at an address, first come, first served; further ones are 503 at once."""
    queue_seconds: Seconds = 10
    """A call that has waited this long for room is 503."""
    fallback: Annotated[str, Field(title="name of an upstream")] | None = None
    """The upstream that takes a call of which nothing could be sent here."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.concurrency is None and {"queue", "queue_seconds"} & self.model_fields_set:
            raise ValueError("queue and queue_seconds are of use with a concurrency only")
        if self.rest_seconds > self.rest_seconds_max:
            raise ValueError("rest_seconds is the first rest, and not longer than rest_seconds_max")
        return self


class Config(Settings):
    """The whole file; `directory` is its folder, from which relative paths count."""

    server: Server = Server()
    """How it listens, and how long it waits for callers."""
    database: Database = Database()
    """Where accounts, keys and charges are."""
    ledger: LedgerSettings = LedgerSettings()
    """What becomes of charges when a process dies."""
    credits: Credits = Credits()
    """What a new account begins with."""
    login: Login = Login()
    """How people sign in."""
    traces: Traces = Traces()
    """Who collects what each request went through."""
    middlewares: tuple[Middleware, ...] = ()
    """The chain: each request passes these links in this order."""
    upstreams: dict[str, UpstreamSettings] = Field(default_factory=dict)
    """The workers, by name."""
    routes: tuple[Plugin, ...] = ()
    """What is served."""
    directory: Path = Path()
    """The file's folder."""

    def table(self) -> Routes:
        """Where everything is served, the files of pages included."""
        return Routes([*(route for plugin in self.routes for route in plugin.routes()), files.route()])


def load(file: Path, environment: Mapping[str, str] = os.environ, *, text: str | None = None) -> Config:
    """The configuration in `file`, or in a `text` of it that was read before; ConfigError with all of its mistakes."""
    tables = toml.read(file, environment, text)
    mistakes = list(_unset(tables))
    missing = {mistake.path for mistake in mistakes}
    modules = {name: tables.pop(name, []) for name in ("middlewares", "routes")}
    links = list(_modules(modules["middlewares"], "middlewares", MIDDLEWARES, Middleware, file, mistakes))
    plugins = list(_modules(modules["routes"], "routes", PLUGINS, Plugin, file, mistakes))
    mistakes += _unknown_tables(tables)
    config = _validated(tables, mistakes)
    chain = [link for _, link in links]
    mistakes += rules.chain(links)
    fallbacks = _fallbacks(tables.get("upstreams"))
    mistakes += rules.fallbacks(fallbacks)
    mistakes += rules.routes(plugins, chain, fallbacks)
    mistakes += _server_rules(tables.get("server"))
    # The name of a variable is no value either, but that was said before.
    mistakes = [found for found in mistakes if found.path not in missing or "is not set" in found.what]
    if mistakes or config is None:
        raise ConfigError(str(file), mistakes)
    return config.model_copy(
        update={"middlewares": tuple(chain), "routes": tuple(plugin for _, plugin in plugins), "directory": file.parent}
    )


def _fallbacks(upstreams: Any) -> dict[str, str | None]:
    """The fallback of each upstream, by the tables as they stand, so that their other mistakes hide nothing."""
    given = upstreams if isinstance(upstreams, dict) else {}
    found = {name: table.get("fallback") if isinstance(table, dict) else None for name, table in given.items()}
    return {name: fallback if isinstance(fallback, str) else None for name, fallback in found.items()}


def _server_rules(server: Any) -> Iterator[Mistake]:
    """By the table as it stands, so that its other mistakes hide nothing."""
    given = server if isinstance(server, dict) else {}
    host, url, secrets = given.get("host", "127.0.0.1"), given.get("public_url"), given.get("secrets", [])
    if isinstance(host, str) and isinstance(secrets, list):
        yield from rules.secrets(host, [text for text in secrets if isinstance(text, str)])
    if isinstance(url, str):
        yield from rules.public_url(url)


def _validated(tables: dict[str, Any], mistakes: list[Mistake]) -> Config | None:
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        mistakes += toml.mistakes(error, Config)
        return None


def _unknown_tables(tables: dict[str, Any]) -> Iterator[Mistake]:
    known = [name for name in toml.fields(Config) if name != "directory"]
    for name in [name for name in tables if name not in known]:
        del tables[name]
        yield Mistake(name, "is not a table of config.toml", toml.did_you_mean(name, known))


def _unset(tables: dict[str, Any]) -> Iterator[Mistake]:
    """Variables that are missing where they are needed; the tables are mended where they are not."""
    login = tables.get("login")
    for provider in ("github", "gitlab"):
        if isinstance(login, dict) and any(toml.unset(login.get(provider))):
            del login[provider]
    server = tables.get("server")
    if isinstance(server, dict) and isinstance(server.get("secrets"), list):
        secrets = server["secrets"]
        missing = [text for text in secrets if isinstance(text, Unset)]
        server["secrets"] = [text for text in secrets if not isinstance(text, Unset)]
        if missing and not rules.is_loopback(str(server.get("host", "127.0.0.1"))):
            yield from (
                Mistake("server.secrets", f"the variable {name} is not set", rules.WHICH_TO_NAME) for name in missing
            )
    for path, name in toml.unset(tables):
        yield Mistake(toml.written(path), f"the variable {name} is not set")


def _modules(
    entries: Any, kind: str, table: Mapping[str, type[M]], base: type[M], file: Path, mistakes: list[Mistake]
) -> Iterator[tuple[int, M]]:
    """Each entry of `[[kind]]` that is right, with its place; what is wrong goes to `mistakes`."""
    if not isinstance(entries, list):
        mistakes.append(Mistake(kind, f"is a list of tables, written [[{kind}]]"))
        return
    for index, entry in enumerate(entries):
        module = _class(entry, table, base, file)
        if isinstance(module, str):
            use = str(entry.get("use", "")) if isinstance(entry, dict) else ":"
            hint = "" if ":" in use else toml.did_you_mean(use, table)
            mistakes.append(Mistake(f"{kind}[{index}]" + (".use" if isinstance(entry, dict) else ""), module, hint))
            continue
        try:
            yield index, module.model_validate(entry)
        except ValidationError as error:
            mistakes += toml.mistakes(error, module, kind, index)


def _class(entry: Any, table: Mapping[str, type[M]], base: type[M], file: Path) -> type[M] | str:
    """The class that reads a table, or what is wrong with its `use`."""
    if not isinstance(entry, dict):
        return f"is no table, written [[{'routes' if base is Plugin else 'middlewares'}]]"
    use = entry.get("use")
    if not isinstance(use, str):
        return "is missing"
    if ":" not in use:
        return table.get(use) or f'there is no "{use}"'
    module_name, _, class_name = use.partition(":")
    if str(file.parent.resolve()) not in sys.path:
        sys.path.append(str(file.parent.resolve()))
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (Exception, SystemExit) as error:  # a module from outside may raise anything
        return f'"{use}" cannot be loaded: {error or type(error).__name__}'
    if not (isinstance(found, type) and issubclass(found, base) and found is not base):
        return f'"{use}" is not a {base.__name__}'
    return found
