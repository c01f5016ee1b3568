"""What config.toml means, and that a file with mistakes tells all of them at once, each with its place and a hint."""

import copy
import json
import math
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nijika.config import Config, load
from nijika.errors import ConfigError
from nijika.middlewares.api_key import ApiKey
from nijika.middlewares.pricing import Pricing
from nijika.middlewares.rate_limit import RateLimit
from nijika.middlewares.real_ip import RealIp
from nijika.plugins.account import Account
from nijika.plugins.health import Health
from nijika.plugins.proxy import Proxy
from nijika.route import FREE, Price, Routes
from tests.gateway import configuration, loaded, upstream_table
from tests.plugin import Paint

ROOT = Path(__file__).parents[1]
LONG = "a secret of more than thirty-two characters"
NOTHING: dict[str, str] = {}

CHAIN = '[[middlewares]]\nuse = "api_key"\n[[middlewares]]\nuse = "pricing"\n'
WORKER = '[upstreams.worker]\nurls = ["http://127.0.0.1:8001"]\n'
HEALTH = '[[routes]]\nuse = "health"\n'

# The example of DESIGN.md 2, with all that its comments offer.
DESIGN = """
[server]
host = "127.0.0.1"
port = 8080
public_url = "http://127.0.0.1:8080"
processes = 1
head_seconds = 10
idle_seconds = 75
body_seconds = 30
write_seconds = 60
drain_seconds = 30
secrets = ["$NIJIKA_SECRET", "the one before"]

[database]
url = "embedded"

[ledger]
lease_seconds = 30

[credits]
signup_bonus = "50"

[login]
first_user_is_admin = true

[login.github]
client_id = "$GITHUB_CLIENT_ID"
client_secret = "$GITHUB_CLIENT_SECRET"
authorize_url = "https://github.example.com/login/oauth/authorize"
token_url = "https://github.example.com/login/oauth/access_token"
api_url = "https://github.example.com/api/v3"

[login.gitlab]
client_id = "$GITLAB_CLIENT_ID"
client_secret = "$GITLAB_CLIENT_SECRET"
trust_email = true

[[middlewares]]
use = "real_ip"
trusted_proxies = ["10.0.0.0/8", "fd00::/8", "192.0.2.7"]

[[middlewares]]
use = "rate_limit"
store = "memory"
rules = [
  { prefix = "/", limit = "20/s", burst = 60 },
  { prefix = "/health", limit = "100/s" },
  { prefix = "/api/", limit = "5/s", burst = 10 },
]

[[middlewares]]
use = "api_key"

[[middlewares]]
use = "rate_limit"
rules = [{ prefix = "/api/", limit = "1000/h", per = "key" }]

[[middlewares]]
use = "pricing"

[upstreams.removebg]
urls = ["http://127.0.0.1:8001", "https://somebody--worker.modal.run/base"]
headers = { Modal-Key = "$MODAL_KEY", Modal-Secret = "$MODAL_SECRET" }
connect_seconds = 5
first_byte_seconds = 160
total_seconds = 600
wake = { path = "/ready", seconds = 120 }
max_rate = "20/s"

[[routes]]
use = "health"

[[routes]]
use = "account"

[[routes]]
use = "proxy"
path = "/api/removebg"
methods = ["POST"]
upstream = "removebg"
target = "/v1/cutout"
price = "0.01"
body_bytes_max = 26214400

[[routes]]
use = "proxy"
path = "/api/upscale"
upstream = "removebg"
price = { hold = "0.10", capture = "X-Nijika-Cost" }

[[routes]]
use = "proxy"
path = "/files/*"
methods = ["GET", "HEAD"]
upstream = "removebg"
price = "free"
"""
ENVIRONMENT = {
    "NIJIKA_SECRET": LONG,
    "GITHUB_CLIENT_ID": "hub",
    "GITHUB_CLIENT_SECRET": "hush",
    "GITLAB_CLIENT_ID": "lab",
    "GITLAB_CLIENT_SECRET": "quiet",
    "MODAL_KEY": "mk",
    "MODAL_SECRET": "ms",
}


def read(text: str, directory: Path, environment: Mapping[str, str] = NOTHING) -> Config:
    file = directory / "config.toml"
    file.write_text(text)
    return load(file, environment)


def mistakes(text: str, directory: Path, environment: Mapping[str, str] = NOTHING) -> list[tuple[str, str]]:
    """The place and the hint of each mistake."""
    with pytest.raises(ConfigError) as refusal:
        read(text, directory, environment)
    assert len(str(refusal.value).splitlines()) == 1 + len(refusal.value.mistakes), "one line for each mistake"
    return [(mistake.path, mistake.hint) for mistake in refusal.value.mistakes]


def whats(text: str, directory: Path, environment: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """What is wrong at which place."""
    with pytest.raises(ConfigError) as refusal:
        read(text, directory, environment)
    return {mistake.path: mistake.what for mistake in refusal.value.mistakes}


def proxy(path: str = "/api/x", *, price: str = '"free"', methods: str = '["POST"]', more: str = "") -> str:
    """A `[[routes]]` table on WORKER."""
    return f'[[routes]]\nuse = "proxy"\npath = "{path}"\nmethods = {methods}\nupstream = "worker"\nprice = {price}\n{more}\n'


def test_the_file_in_the_repository_says_what_it_means() -> None:
    config = load(ROOT / "config.toml", NOTHING)

    assert [link.use for link in config.middlewares] == ["real_ip", "rate_limit", "session", "api_key", "pricing"]
    prices = {route.path: route.price for plugin in config.routes for route in plugin.routes()}
    sold = {path: price for path, price in prices.items() if price != FREE}
    assert sold == {"/api/removebg": Price(10_000), "/v1.0/removebg": Price(10_000)}
    assert {"/", "/health", "/login", "/api/account"} <= set(prices)
    assert (config.server.host, config.server.port, config.server.secrets) == ("127.0.0.1", 8080, ())
    assert (config.login.github, config.login.gitlab) == (None, None)
    assert config.credits.signup_bonus == 50_000_000
    assert config.upstreams["removebg"].urls == ("http://127.0.0.1:8001",)
    assert config.directory == ROOT


def test_the_file_in_the_repository_sets_the_defaults() -> None:
    written = tomllib.loads((ROOT / "config.toml").read_text())

    default = Config().model_dump()

    for table in ("server", "database", "ledger"):
        for name, value in written[table].items():
            assert default[table][name] == value or name == "secrets", f"{table}.{name}"


def test_every_key_of_the_design_works(tmp_path: Path) -> None:
    config = read(DESIGN, tmp_path, ENVIRONMENT)

    assert config.server.secrets == (LONG, "the one before")
    assert config.server.public_url == "http://127.0.0.1:8080"
    assert config.database.url == "embedded"
    assert config.ledger.lease_seconds == 30
    assert config.credits.signup_bonus == 50_000_000
    assert config.login.first_user_is_admin
    github, gitlab = config.login.github, config.login.gitlab
    assert github is not None
    assert gitlab is not None
    assert (github.client_id, github.client_secret, github.trust_email) == ("hub", "hush", False)
    assert github.authorize_url == "https://github.example.com/login/oauth/authorize"
    assert github.token_url == "https://github.example.com/login/oauth/access_token"
    assert github.api_url == "https://github.example.com/api/v3"
    assert (gitlab.client_id, gitlab.client_secret, gitlab.trust_email) == ("lab", "quiet", True)
    assert config.directory == tmp_path


def test_the_chain_of_the_design_is_what_its_tables_say(tmp_path: Path) -> None:
    real_ip, by_address, api_key, by_key, pricing = read(DESIGN, tmp_path, ENVIRONMENT).middlewares

    assert isinstance(real_ip, RealIp)
    assert real_ip.trusted_proxies == tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "192.0.2.7/32")))
    assert isinstance(by_address, RateLimit)
    rates = {rule.prefix: rule.rate for rule in by_address.rules}
    assert {prefix: (rate.count, rate.seconds, rate.burst) for prefix, rate in rates.items()} == {
        "/": (20, 1, 60),
        "/health": (100, 1, 100),
        "/api/": (5, 1, 10),
    }
    assert isinstance(api_key, ApiKey)
    assert isinstance(by_key, RateLimit)
    assert by_key.rules[0].per == "key"
    assert (by_key.rules[0].rate.count, by_key.rules[0].rate.seconds) == (1000, 3600)
    assert isinstance(pricing, Pricing)


def test_the_upstream_of_the_design_is_what_its_table_says(tmp_path: Path) -> None:
    upstream = read(DESIGN, tmp_path, ENVIRONMENT).upstreams["removebg"]

    assert upstream.urls == ("http://127.0.0.1:8001", "https://somebody--worker.modal.run/base")
    assert upstream.headers == {"Modal-Key": "mk", "Modal-Secret": "ms"}
    assert (upstream.connect_seconds, upstream.first_byte_seconds, upstream.total_seconds) == (5, 160, 600)
    assert upstream.wake is not None
    assert (upstream.wake.path, upstream.wake.seconds) == ("/ready", 120)
    assert upstream.max_rate == (20, 1)


def test_the_routes_of_the_design_are_what_their_tables_say(tmp_path: Path) -> None:
    plugins = read(DESIGN, tmp_path, ENVIRONMENT).routes

    assert [type(plugin) for plugin in plugins] == [Health, Account, Proxy, Proxy, Proxy]
    removebg, upscale, files = [route for plugin in plugins[2:] for route in plugin.routes()]
    assert (removebg.methods, removebg.path, removebg.target) == (("POST",), "/api/removebg", "/v1/cutout")
    assert (removebg.price, removebg.needs_key, removebg.body_bytes_max) == (Price(10_000), True, 26_214_400)
    assert (upscale.methods, upscale.target) == (("POST",), "/api/upscale")
    assert (upscale.price, upscale.needs_key) == (Price(100_000, "X-Nijika-Cost"), True)
    assert (files.methods, files.price, files.needs_key) == (("GET", "HEAD"), FREE, False)


def test_an_empty_file_serves_nothing_on_loopback(tmp_path: Path) -> None:
    config = read("", tmp_path)

    assert (config.server.host, config.middlewares, config.routes) == ("127.0.0.1", (), ())


FULL_OF_MISTAKES = """
[server]
hots = "127.0.0.1"
port = 70000
head_seconds = 0
idle_seconds = "long"

[databas]
url = "embedded"

[ledger]
lease_second = 30

[credits]
signup_bonus = 50

[login]
github = { client_id = "x", client_secrt = "y" }

[[middlewares]]
use = "real_ipp"

[[middlewares]]
use = "rate_limit"
rules = [{ prefix = "/", limit = "5/s", brust = 10 }, { prefix = "/api/", limit = "5 per second" }]

[[middlewares]]
use = "pricing"

[upstreams.removebg]
urls = ["127.0.0.1:8001"]
connect_secnds = 5
headers = { Modal-Key = "$MODAL_KEY" }
wake = { pth = "/ready", seconds = 120 }

[[routes]]
use = "proxi"

[[routes]]
use = "proxy"
path = "/api/removebg"
upstream = "removebg"

[[routes]]
use = "proxy"
path = "/api/upscale"
upstream = "removebg"
price = "0.01"
methds = ["POST"]

[[routes]]
use = "proxy"
path = "/api/other"
upstream = "removbg"
price = "0.01"

[[routes]]
use = "proxy"
path = "/api/metered"
upstream = "removebg"
price = { hold = "0.10", captur = "X-Nijika-Cost" }
"""


def test_all_mistakes_are_told_at_once_with_place_and_hint(tmp_path: Path) -> None:
    found = mistakes(FULL_OF_MISTAKES, tmp_path)

    assert len(found) == len(set(found))
    assert set(found) == {
        ("server.hots", 'did you mean "host"?'),
        ("server.port", ""),
        ("server.head_seconds", ""),
        ("server.idle_seconds", ""),
        ("databas", 'did you mean "database"?'),
        ("ledger.lease_second", 'did you mean "lease_seconds"?'),
        ("credits.signup_bonus", ""),
        ("login.github.client_secrt", 'did you mean "client_secret"?'),
        ("login.github.client_secret", ""),
        ("middlewares[0].use", 'did you mean "real_ip"?'),
        ("middlewares[1].rules[0].brust", 'did you mean "burst"?'),
        ("middlewares[1].rules[1].limit", ""),
        ("middlewares[2]", 'add a table [[middlewares]] with use = "api_key"'),
        ("upstreams.removebg.urls[0]", ""),
        ("upstreams.removebg.connect_secnds", 'did you mean "connect_seconds"?'),
        ("upstreams.removebg.headers.Modal-Key", ""),
        ("upstreams.removebg.wake.pth", 'did you mean "path"?'),
        ("upstreams.removebg.wake.path", ""),
        ("routes[0].use", 'did you mean "proxy"?'),
        ("routes[1].price", ""),
        ("routes[2].methds", 'did you mean "methods"?'),
        ("routes[3].upstream", 'did you mean "removebg"?'),
        ("routes[3]", 'add a table [[middlewares]] with use = "api_key"'),
        ("routes[4].price.captur", 'did you mean "capture"?'),
        ("routes[4].price.capture", ""),
    }


@pytest.mark.parametrize("address", ["u:pa/ss@h/n", "u:pa#ss@h/n", "u:pa?ss@h/n", "h:port/n", "h:5432:1/n", "[::1/n"])
@pytest.mark.parametrize("setting", ["url", "listen_url"])
def test_an_address_of_a_database_that_cannot_be_read_is_a_mistake_that_repeats_no_password(
    tmp_path: Path, setting: str, address: str
) -> None:
    other = 'pgbouncer = true\nurl = "postgresql://h/n"\n' if setting == "listen_url" else ""

    ((path, what),) = whats(f'[database]\n{other}{setting} = "postgresql://{address}"', tmp_path).items()

    assert path == f"database.{setting}"
    assert "has no host and port that can be read" in what
    assert "pa" not in what.partition("password")[0]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/n",
        "u:p%2Fw@h:5432/n?sslmode=require",
        "u:p@w@h/n",
        "u@[::1]:5432/n",
        "a:1,b:2/n",
        "u@%2Ftmp:5432/n",
        "/n?host=/tmp",
    ],
)
def test_every_address_of_a_database_that_can_be_read_is_taken(tmp_path: Path, address: str) -> None:
    config = read(f'[database]\nurl = "postgresql://{address}"', tmp_path)

    assert config.database.url == f"postgresql://{address}"


def test_the_report_names_the_file_and_reads_as_sentences(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read("[server]\nhots = 1\n[credits]\nsignup_bonus = 50\n", tmp_path)

    assert str(refusal.value).splitlines() == [
        f"{tmp_path}/config.toml has 2 mistakes:",
        '  server.hots: is not a setting (did you mean "host"?)',
        '  credits.signup_bonus: an amount is written in quotes, such as "0.01", so that it stays exact',
    ]


def test_a_name_like_no_other_is_answered_with_all_that_are_known(tmp_path: Path) -> None:
    assert mistakes("[ledger]\nzzz = 1\n", tmp_path) == [("ledger.zzz", "known: lease_seconds")]


class TestVariables:
    """A value that is exactly "$NAME" comes from the environment."""

    def test_only_a_whole_value_is_a_variable(self, tmp_path: Path) -> None:
        texts = ["$NAME", "x$NAME", "$NAME ", "$$NAME", "${NAME}", "$name", "$1", "$"]
        table = f"[upstreams.w]\nurls = ['http://w']\nheaders = {{ {', '.join(f'h{i} = {text!r}' for i, text in enumerate(texts))} }}"

        config = read(table, tmp_path, {"NAME": "value"})

        assert list(config.upstreams["w"].headers.values()) == ["value", *texts[1:]]

    def test_what_a_variable_holds_is_not_read_as_a_variable_again(self, tmp_path: Path) -> None:
        table = '[upstreams.w]\nurls = ["http://w"]\nheaders = { a = "$A" }'

        config = read(table, tmp_path, {"A": "$B", "B": "b"})

        assert config.upstreams["w"].headers == {"a": "$B"}

    def test_a_variable_may_hold_an_address_or_an_amount(self, tmp_path: Path) -> None:
        config = read(
            '[database]\nurl = "$D"\n[credits]\nsignup_bonus = "$B"', tmp_path, {"D": "postgresql://h/n", "B": "7.5"}
        )

        assert (config.database.url, config.credits.signup_bonus) == ("postgresql://h/n", 7_500_000)

    @pytest.mark.parametrize("missing", [None, "GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"])
    @pytest.mark.parametrize("how", ["unset", "empty"])
    def test_a_provider_without_its_variables_is_off(self, tmp_path: Path, missing: str | None, how: str) -> None:
        environment = {} if missing is None else dict(ENVIRONMENT)
        if missing is not None:
            environment.pop(missing)
            environment |= {missing: ""} if how == "empty" else {}

        config = load(_written(tmp_path, DESIGN), ENVIRONMENT if missing is None else environment)

        assert (config.login.github is None) is (missing is not None)
        assert config.login.gitlab is not None

    def test_a_provider_that_is_off_may_not_hide_a_mistake_elsewhere(self, tmp_path: Path) -> None:
        text = '[login]\ngithub = { client_id = "$A", client_secret = "$B" }\ngitlab = { client_id = "x" }'

        assert mistakes(text, tmp_path) == [("login.gitlab.client_secret", "")]

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
    def test_secrets_may_be_unset_on_loopback(self, tmp_path: Path, host: str) -> None:
        config = read(f'[server]\nhost = "{host}"\nsecrets = ["$NIJIKA_SECRET"]', tmp_path)

        assert config.server.secrets == ()

    def test_an_old_secret_may_be_unset_while_the_new_one_is_there(self, tmp_path: Path) -> None:
        config = read('[server]\nsecrets = ["$NEW", "$OLD"]', tmp_path, {"NEW": "new"})

        assert config.server.secrets == ("new",)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "nijika.example.com", ""])
    def test_beyond_loopback_an_unset_secret_is_a_mistake(self, tmp_path: Path, host: str) -> None:
        found = whats(f'[server]\nhost = "{host}"\nsecrets = ["$NIJIKA_SECRET"]', tmp_path)

        assert "server.secrets" in found

    def test_beyond_loopback_the_missing_variable_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"the variable NIJIKA_SECRET is not set \(.*the text of data/secret"):
            read('[server]\nhost = "0.0.0.0"\nsecrets = ["$NIJIKA_SECRET"]', tmp_path)

    def test_beyond_loopback_secrets_must_be_there_and_long(self, tmp_path: Path) -> None:
        assert "server.secrets" in whats('[server]\nhost = "0.0.0.0"', tmp_path)
        short = mistakes(f'[server]\nhost = "0.0.0.0"\nsecrets = ["{LONG}", "short"]', tmp_path)
        assert [path for path, _ in short] == ["server.secrets[1]"]
        assert "token_urlsafe" in short[0][1]
        assert read(f'[server]\nhost = "0.0.0.0"\nsecrets = ["{LONG}"]', tmp_path).server.secrets == (LONG,)

    def test_every_other_missing_variable_is_a_mistake_at_its_place(self, tmp_path: Path) -> None:
        text = (
            '[database]\nurl = "$DATABASE_URL"\n[upstreams.w]\nurls = ["http://w", "$WORKER"]\nheaders = { Key = "$KEY" }\n'
            '[[routes]]\nuse = "proxy"\npath = "/x"\nupstream = "w"\nprice = "$PRICE"\n'
        )

        found = whats(text, tmp_path, {"KEY": ""})

        assert {path: what for path, what in found.items() if "variable" in what} == {
            "database.url": "the variable DATABASE_URL is not set",
            "upstreams.w.urls[1]": "the variable WORKER is not set",
            "upstreams.w.headers.Key": "the variable KEY is not set",
            "routes[0].price": "the variable PRICE is not set",
        }


class TestTheWholeFile:
    """Rules that no table can keep by itself."""

    def test_pricing_stands_behind_api_key(self, tmp_path: Path) -> None:
        text = '[[middlewares]]\nuse = "pricing"\n[[middlewares]]\nuse = "api_key"\n'

        assert mistakes(text, tmp_path) == [("middlewares[0]", 'move "api_key" up')]

    @pytest.mark.parametrize(
        "link", ['use = "rate_limit"\nrules = [{ prefix = "/", limit = "1/s" }]', 'use = "api_key"']
    )
    def test_real_ip_stands_before_all_that_look_at_the_address(self, tmp_path: Path, link: str) -> None:
        text = f'[[middlewares]]\n{link}\n[[middlewares]]\nuse = "real_ip"\n'

        assert mistakes(text, tmp_path) == [("middlewares[0]", 'move "real_ip" up')]

    def test_what_the_rules_allow_may_be_reordered(self, tmp_path: Path) -> None:
        limit = '[[middlewares]]\nuse = "rate_limit"\nrules = [{ prefix = "/", limit = "1/s" }]\n'
        real_ip = '[[middlewares]]\nuse = "real_ip"\n'

        chains = [real_ip + limit + CHAIN, real_ip + CHAIN + limit, limit + CHAIN, CHAIN, limit]

        assert [len(read(chain, tmp_path).middlewares) for chain in chains] == [4, 4, 3, 2, 1]

    def test_to_count_by_key_the_key_must_be_known(self, tmp_path: Path) -> None:
        by_key = '[[middlewares]]\nuse = "rate_limit"\nrules = [{ prefix = "/", limit = "1/s", per = "key" }]\n'

        assert mistakes(by_key + CHAIN, tmp_path) == [("middlewares[0]", 'move "api_key" up')]
        assert mistakes(by_key, tmp_path) == [("middlewares[0]", 'add a table [[middlewares]] with use = "api_key"')]

    @pytest.mark.parametrize("use", ["real_ip", "api_key", "pricing"])
    def test_a_link_stands_in_the_chain_once(self, tmp_path: Path, use: str) -> None:
        text = f'[[middlewares]]\nuse = "real_ip"\n{CHAIN}[[middlewares]]\nuse = "{use}"\n'

        found = whats(text, tmp_path)

        assert found["middlewares[3]"] == f'"{use}" is in the chain already' or use == "real_ip"

    def test_rate_limit_may_stand_there_twice(self, tmp_path: Path) -> None:
        limit = '[[middlewares]]\nuse = "rate_limit"\nrules = [{ prefix = "/", limit = "1/s" }]\n'

        assert len(read(limit + CHAIN + limit, tmp_path).middlewares) == 4

    def test_two_rules_for_one_prefix_are_a_mistake(self, tmp_path: Path) -> None:
        text = '[[middlewares]]\nuse = "rate_limit"\nrules = [{prefix = "/a/", limit = "1/s"}, {prefix = "/a", limit = "2/s"}]'

        assert whats(text, tmp_path) == {"middlewares[0]": 'two rules for the prefix "/a"'}

    @pytest.mark.parametrize("price", ['"0.01"', '{ hold = "0.1", capture = "X-Cost" }'])
    def test_a_priced_route_needs_api_key_and_pricing(self, tmp_path: Path, price: str) -> None:
        found = mistakes(WORKER + proxy(price=price), tmp_path)

        assert found == [
            ("routes[0]", 'add a table [[middlewares]] with use = "api_key"'),
            ("routes[0]", 'add a table [[middlewares]] with use = "pricing"'),
        ]

    def test_a_free_route_with_a_key_needs_api_key(self, tmp_path: Path) -> None:
        wanted = [("routes[0]", 'add a table [[middlewares]] with use = "api_key"')]

        assert mistakes(WORKER + proxy(more="key = true"), tmp_path) == wanted

    @pytest.mark.parametrize("use", ["login", "dashboard", "staff"])
    def test_pages_for_people_who_are_signed_in_need_sessions(self, tmp_path: Path, use: str) -> None:
        wanted = [("routes[0]", 'add a table [[middlewares]] with use = "session"')]

        assert mistakes(f'[[routes]]\nuse = "{use}"', tmp_path) == wanted

    def test_a_page_of_a_plugin_of_ones_own_needs_sessions_too(self, tmp_path: Path) -> None:
        assert mistakes('[[routes]]\nuse = "tests.plugin:Private"', tmp_path) == [
            ("routes[0]", 'add a table [[middlewares]] with use = "session"')
        ]

    def test_a_page_for_everybody_needs_nothing(self, tmp_path: Path) -> None:
        assert len(read('[[routes]]\nuse = "site"', tmp_path).routes) == 1

    def test_a_free_route_needs_nothing(self, tmp_path: Path) -> None:
        assert len(read(WORKER + proxy() + HEALTH, tmp_path).routes) == 2

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (proxy("/api/x"), proxy("/api/x")),
            (proxy("/api/{a}"), proxy("/api/{b}")),
            (proxy("/api/{a}/*"), proxy("/api/{b}/*")),
            (proxy("/api/x", methods='["GET", "POST"]'), proxy("/api/x", methods='["POST", "PUT"]')),
            (HEALTH, proxy("/health", methods='["GET"]')),
            (HEALTH, proxy("/health", methods='["HEAD"]')),
            (proxy("/ready", methods='["HEAD"]'), HEALTH),
            (HEALTH, HEALTH),
        ],
        ids=["same", "{a} {b}", "{a}/* {b}/*", "one method", "own GET", "own HEAD", "HEAD first", "twice"],
    )
    def test_two_routes_for_the_same_requests_are_a_mistake(self, tmp_path: Path, one: str, other: str) -> None:
        found = mistakes(WORKER + one + other, tmp_path)

        assert set(found) == {("routes[1]", "change one of the two")}

    def test_one_path_may_be_split_by_method(self, tmp_path: Path) -> None:
        text = WORKER + proxy("/api/x", methods='["GET"]') + proxy("/api/x") + proxy("/api/{x}") + proxy("/api/*")

        assert len(read(text, tmp_path).routes) == 4

    def test_an_upstream_that_is_not_there_is_a_mistake_with_a_hint(self, tmp_path: Path) -> None:
        near = mistakes('[upstreams.workers]\nurls = ["http://w"]\n' + proxy(), tmp_path)
        far = mistakes(
            '[upstreams.zzz]\nurls = ["http://w"]\n[upstreams.yyy]\nurls = ["http://w"]\n' + proxy(), tmp_path
        )
        none = mistakes(proxy(), tmp_path)

        assert near == [("routes[0].upstream", 'did you mean "workers"?')]
        assert far == [("routes[0].upstream", "known: zzz, yyy")]
        assert none == [("routes[0].upstream", "known: none")]

    @pytest.mark.parametrize(
        "url",
        [
            "api.example.com",
            "ftp://x",
            "http://",
            "http://x/path",
            "http://x?query",
            "http://x#fragment",
            "http://user:word@x",
            "http://x:99999",
            "http://[::1",
            "http://x\\r\\nX-Evil: 1",
            "http://a b",
        ],
    )
    def test_a_public_url_that_is_no_origin_is_a_mistake(self, tmp_path: Path, url: str) -> None:
        assert list(whats(f'[server]\npublic_url = "{url}"', tmp_path)) == ["server.public_url"]

    @pytest.mark.parametrize(
        "url", ["https://api.example.com", "http://[::1]:8080", "https://x/", "http://localhost:1"]
    )
    def test_a_public_url_is_an_origin(self, tmp_path: Path, url: str) -> None:
        assert read(f'[server]\npublic_url = "{url}"', tmp_path).server.public_url == url


@pytest.mark.parametrize(
    ("price", "place"),
    [
        ("0.01", "routes[0].price"),
        ("1", "routes[0].price"),
        ("true", "routes[0].price"),
        ('"0"', "routes[0].price"),
        ('"-1"', "routes[0].price"),
        ('"Free"', "routes[0].price"),
        ('"1e3"', "routes[0].price"),
        ('["1"]', "routes[0].price"),
        ('{ hold = "0.1" }', "routes[0].price.capture"),
        ('{ hold = 1, capture = "X" }', "routes[0].price.hold"),
        ('{ hold = "1", capture = "not a field" }', "routes[0].price.capture"),
    ],
)
def test_a_price_that_is_not_exact_is_a_mistake(tmp_path: Path, price: str, place: str) -> None:
    assert list(whats(WORKER + CHAIN + proxy(price=price), tmp_path)) == [place]


def test_a_free_route_ends_with_its_caller_and_cannot_be_told_otherwise(tmp_path: Path) -> None:
    text = '[upstreams.w]\nurls = ["http://127.0.0.1:9"]\n[[routes]]\nuse = "proxy"\npath = "/x"\nupstream = "w"\nprice = "free"\n'

    told = whats(text + 'on_disconnect = "finish"\n', tmp_path)

    assert ["free call ends with its caller" in what for what in told.values()] == [True]
    read(text + 'on_disconnect = "cancel"\n', tmp_path)


def test_a_metered_price_that_holds_nothing_is_a_mistake(tmp_path: Path) -> None:
    found = whats(WORKER + CHAIN + proxy(price='{ hold = "0", capture = "X-Cost" }'), tmp_path)

    assert [path.startswith("routes[0].price") for path in found] == [True]


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "10.0.0.0/33", "example.com", "", "10.0.0.0/8,10.1.0.0/16"])
def test_a_trusted_proxy_that_is_no_network_is_one_mistake_at_its_place(tmp_path: Path, entry: str) -> None:
    text = f'[[middlewares]]\nuse = "real_ip"\ntrusted_proxies = ["127.0.0.1", "{entry}"]'

    assert [path for path, _ in mistakes(text, tmp_path)] == ["middlewares[0].trusted_proxies[1]"]


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8001", "ftp://w", "http://", "http://w?x=1", "http://u:p@w", "http://w:99999", ""]
)
def test_an_upstream_without_an_address_is_a_mistake(tmp_path: Path, url: str) -> None:
    found = whats(f'[upstreams.w]\nurls = ["http://fine", "{url}"]', tmp_path)

    assert list(found) == ["upstreams.w.urls[1]"]


@pytest.mark.parametrize(
    "path", ["api", "/a/", "/a//b", "/a/../b", "/a b", "/a?b", "/x/{a}/{a}", "/{rest}/*", "/%zz", "/%61"]
)
def test_a_path_that_could_never_match_is_a_mistake(tmp_path: Path, path: str) -> None:
    assert list(whats(WORKER + proxy(path), tmp_path)) == ["routes[0].path"]


class TestPluginsFromOutside:
    """`use = "package.module:Class"`."""

    def test_a_plugin_of_ones_own_is_loaded_with_its_settings(self, tmp_path: Path) -> None:
        (plugin,) = read(CHAIN + '[[routes]]\nuse = "tests.plugin:Paint"\ncolour = "red"', tmp_path).routes

        assert isinstance(plugin, Paint)
        assert plugin.colour == "red"

    def test_its_unknown_settings_are_mistakes_too(self, tmp_path: Path) -> None:
        found = mistakes(CHAIN + '[[routes]]\nuse = "tests.plugin:Paint"\ncolor = "red"', tmp_path)

        assert set(found) == {("routes[0].colour", ""), ("routes[0].color", 'did you mean "colour"?')}

    def test_its_price_needs_the_chain_too(self, tmp_path: Path) -> None:
        found = mistakes('[[routes]]\nuse = "tests.plugin:Paint"\ncolour = "red"', tmp_path)

        assert [path for path, _ in found] == ["routes[0]", "routes[0]"]

    def test_a_module_beside_the_file_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "beside_the_file.py").write_text("from nijika.plugins.health import Health as Mine\n")

        (plugin,) = read('[[routes]]\nuse = "beside_the_file:Mine"', tmp_path).routes

        assert isinstance(plugin, Health)

    @pytest.mark.parametrize(
        ("kind", "use"),
        [
            ("routes", "no_such_package.module:Class"),
            ("routes", "tests.plugin:Missing"),
            ("routes", "tests.plugin:"),
            ("routes", ":Class"),
            ("routes", "..plugin:Paint"),
            ("routes", "tests.plugin:Iterable"),
            ("routes", "json:dumps"),
            ("routes", "nijika.middlewares.api_key:ApiKey"),
            ("routes", "api_key"),
            ("middlewares", "tests.plugin:Paint"),
            ("middlewares", "proxy"),
            ("middlewares", ""),
        ],
    )
    def test_what_is_none_is_a_mistake_at_its_use(self, tmp_path: Path, kind: str, use: str) -> None:
        assert list(whats(f'[[{kind}]]\nuse = "{use}"', tmp_path)) == [f"{kind}[0].use"]

    @pytest.mark.parametrize(("name", "source"), [("module_of_no_syntax", "def ("), ("module_that_raises", "1 / 0")])
    def test_a_module_that_breaks_while_it_is_loaded_is_a_mistake(self, tmp_path: Path, name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)

        found = whats(f'[[routes]]\nuse = "{name}:Class"', tmp_path)

        assert "cannot be loaded" in found["routes[0].use"]

    @pytest.mark.parametrize(
        ("name", "routes"),
        [
            ("routes_without_slash", "yield Route(('GET',), 'bad', None, FREE)"),
            ("routes_twice", "yield Route(('GET',), '/a', None, FREE); yield Route(('GET',), '/a', None, FREE)"),
            ("routes_that_raise", "yield 1 / 0"),
        ],
    )
    def test_a_plugin_whose_routes_cannot_be_is_a_mistake(self, tmp_path: Path, name: str, routes: str) -> None:
        code = f"from nijika.module import FREE, Plugin, Route\nclass P(Plugin):\n    def routes(self):\n        {routes}\n"
        (tmp_path / f"{name}.py").write_text(code)

        assert list(whats(f'[[routes]]\nuse = "{name}:P"', tmp_path)) == ["routes[0]"]


class TestHostileFiles:
    """Whatever a file holds, the answer is a configuration or sentences."""

    @pytest.mark.parametrize("text", ["[server", "a = ", "x = 1\nx = 2", "\ufeff[[", "[a]\n[a]", 'k = "\\z"'])
    def test_broken_toml_is_one_mistake_in_the_file(self, tmp_path: Path, text: str) -> None:
        found = whats(text, tmp_path)

        assert list(found) == ["file"]
        assert found["file"].startswith("is not valid TOML: ")

    def test_what_is_no_utf_8_is_one_mistake_in_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "config.toml"
        file.write_bytes(b'[server]\nhost = "\xff"')

        with pytest.raises(ConfigError, match="is not valid TOML"):
            load(file, NOTHING)

    def test_a_missing_file_is_told_with_a_hint(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"file: does not exist \(nijika init makes one; --config names another\)"
        ):
            load(tmp_path / "none.toml", NOTHING)

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="file: cannot be read"):
            load(tmp_path, NOTHING)

    @pytest.mark.parametrize("value", ["1", '"x"', "{}", '{ use = "health" }', "true", "1979-05-27"])
    @pytest.mark.parametrize("kind", ["routes", "middlewares"])
    def test_what_is_no_list_of_tables_is_told_so(self, tmp_path: Path, kind: str, value: str) -> None:
        assert whats(f"{kind} = {value}", tmp_path) == {kind: f"is a list of tables, written [[{kind}]]"}

    @pytest.mark.parametrize(
        "entry", ["1", '"health"', "[]", "{}", "{ use = 1 }", '{ use = ["health"] }', "{ use = { } }"]
    )
    def test_an_entry_without_a_use_is_a_mistake(self, tmp_path: Path, entry: str) -> None:
        found = mistakes(f'routes = [{{ use = "health" }}, {entry}]', tmp_path)

        assert [path.startswith("routes[1]") for path, _ in found] == [True]

    @pytest.mark.parametrize("table", ["server", "database", "ledger", "credits", "login", "upstreams"])
    @pytest.mark.parametrize("value", ['"x"', "1", "[]", "[{}]", "1979-05-27"])
    def test_what_is_no_table_is_a_mistake_at_its_name(self, tmp_path: Path, table: str, value: str) -> None:
        assert list(whats(f"{table} = {value}", tmp_path)) == [table]

    @pytest.mark.parametrize(
        "text",
        [
            "[server]\nhost = {}",
            '[server]\nsecrets = "one"',
            "[server]\nsecrets = [1]",
            "[server]\npublic_url = {}",
            "[server]\nport = 1.5",
            "[server]\nhead_seconds = nan",
            "[server]\nhead_seconds = inf",
            "[server]\nprocesses = 0",
            '[database]\nurl = "mysql://x"',
            '[database]\nurl = { url = "embedded" }',
            '[ledger]\nlease_seconds = "x"',
            '[login]\ngithub = "x"',
            "[login]\ngitlab = []",
            '[login.github]\nclient_id = ""\nclient_secret = "x"',
            '[login.github]\nclient_id = "a"\nclient_secret = "x"\napi_url = "https://h"',
            '[login.github]\nclient_id = "a"\nclient_secret = "x"\ntoken_url = "https://h"\napi_url = "https://h"',
            '[login]\ngithub = { client_id = "a", client_secret = "x", authorize_url = "ftp://h", token_url = "https://h", api_url = "https://h" }',
            '[[middlewares]]\nuse = "session"\nidle_seconds = 1',
            '[[middlewares]]\nuse = "session"\ntotal_seconds = 1e9',
            "[upstreams]\nw = 1",
            "[upstreams.w]\nurls = []",
            '[upstreams.w]\nurls = "http://w"',
            '[upstreams.w]\nurls = ["http://w"]\nheaders = ["a"]',
            '[upstreams.w]\nurls = ["http://w"]\nheaders = { a = 1 }',
            '[upstreams.w]\nurls = ["http://w"]\nheaders = { a = "b\\nc" }',
            '[upstreams.w]\nurls = ["http://w"]\nheaders = { "a b" = "c" }',
            '[upstreams.w]\nurls = ["http://w"]\nwake = "/ready"',
            '[upstreams.w]\nurls = ["http://w"]\nmax_rate = 20',
            '[upstreams.w]\nurls = ["http://w"]\nmax_rate = "0/s"',
        ],
    )
    def test_a_value_of_another_kind_is_one_mistake(self, tmp_path: Path, text: str) -> None:
        assert len(mistakes(text, tmp_path)) == 1

    def test_a_mistake_is_told_without_the_secret_that_it_is_about(self, tmp_path: Path) -> None:
        text = '[server]\nhost = "0.0.0.0"\nsecrets = ["hunter2", { a = "hunter2" }]\n[login]\ngithub = "hunter2"\n'

        with pytest.raises(ConfigError) as refusal:
            read(text, tmp_path)

        assert "hunter2" not in str(refusal.value)


TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "$NAME",
            "$",
            "/",
            "/*",
            "/{a}",
            "..x:Y",
            "a:b",
            "tests.plugin:Paint",
            "proxy",
            "http://[",
            "0",
            "free",
            "1/s",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=8),
)
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans())
TIMES = st.one_of(st.dates(), st.times(), st.datetimes())
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(TEXTS, NUMBERS, TIMES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(TEXTS, st.sampled_from(["use", "path", "price", "urls", "prefix", "limit"])), inner, max_size=3
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_place_of_the_file_is_read_or_told(data: st.DataObject) -> None:
    tables = copy.deepcopy(tomllib.loads(DESIGN))
    for _ in range(data.draw(st.integers(1, 3))):
        _replace(tables, data)

    with tempfile.TemporaryDirectory() as directory:
        try:
            config = read(_toml(tables), Path(directory), ENVIRONMENT)
        except ConfigError:
            return

    # What can be loaded can be served.
    Routes(route for plugin in config.routes for route in plugin.routes())


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*Config.model_fields, "x"]), VALUES, max_size=4))
def test_whatever_a_file_holds_is_read_or_told(tables: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        try:
            read(_toml(tables), Path(directory))
        except ConfigError:
            return


def _replace(tables: dict[str, Any], data: st.DataObject) -> None:
    """Put something else in some place, or take it away, or add something to it."""
    place: Any = tables
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        place = inner
    what = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if what == "remove":
        del place[key]
    elif what == "add" and isinstance(place, dict):
        place[data.draw(TEXTS)] = data.draw(VALUES)
    else:
        place[key] = data.draw(VALUES)


def _toml(value: Any, *, top: bool = True) -> str:
    """A value as TOML; the tables at the top as `name = { … }`."""
    if isinstance(value, dict):
        pairs = [f"{json.dumps(key, ensure_ascii=False)} = {_toml(item, top=False)}" for key, item in value.items()]
        return "\n".join(pairs) if top else "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item, top=False) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _written(directory: Path, text: str) -> Path:
    file = directory / "config.toml"
    file.write_text(text)
    return file


SOLD = '[[routes]]\nuse = "proxy"\npath = "/api/cut"\nupstream = "worker"\ntarget = "/v1/cut"\nprice = "1"\n'


@pytest.mark.parametrize(
    ("path", "target", "methods", "given_away"),
    [
        ("/free/*", "/*", '["POST"]', "/free/v1/cut"),
        ("/v1/*", "/v1/*", '["POST", "GET"]', "/v1/cut"),
        ("/free/*", "/v1/*", '["GET"]', None),
        ("/free/*", "/v2/*", '["POST"]', None),
        ("/free/*", "/v1/cutting/*", '["POST"]', None),
    ],
)
def test_a_free_wildcard_that_reaches_what_another_route_sells_is_a_mistake(
    tmp_path: Path, path: str, target: str, methods: str, given_away: str | None
) -> None:
    wide = (
        f'[[routes]]\nuse = "proxy"\npath = "{path}"\nupstream = "worker"\ntarget = "{target}"\n'
        f'methods = {methods}\nprice = "free"\n'
    )
    text = configuration(upstream_table("http://127.0.0.1:9"), routes=SOLD + wide)

    if given_away is None:
        assert len(loaded(tmp_path, text).routes) == 2
        return
    with pytest.raises(ConfigError, match=given_away):
        loaded(tmp_path, text)
