"""What config.toml may say of limits: each mistake is a sentence, in its place, before anything is started."""

import subprocess
import sys
from pathlib import Path

import pytest

from nijika.config import load
from nijika.errors import ConfigError
from nijika.middlewares.api_key import ApiKey
from nijika.middlewares.rate_limit import RateLimit

RULES = 'rules = [{ prefix = "/", limit = "5/s" }]'


def limit(text: str) -> str:
    return f'[[middlewares]]\nuse = "rate_limit"\n{text}\n'


def key(text: str) -> str:
    return f'[[middlewares]]\nuse = "api_key"\n{text}\n'


def mistake(directory: Path, text: str) -> tuple[str, str, str]:
    """Place, sentence and hint of the only mistake."""
    file = directory / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load(file, {})
    (found,) = refusal.value.mistakes
    return found.path, found.what, found.hint


STORE = 'a store is "memory" or the address of a Redis, such as "redis://:password@host:6379/0"'


@pytest.mark.parametrize(
    "store",
    [
        "",
        "memroy",
        "localhost:6379",
        "redis:/localhost",
        "redis://",
        "redis://:6379",
        "redis://localhost:port",
        "redis://localhost:0",
        "redis://localhost:70000",
        "redis://localhost/name",
        "redis://localhost/0/1",
        "redis://localhost?db=1",
        "redis://localhost#0",
        "redis://local host",
        "redis://[::1",
        "http://localhost:6379",
        "unix:///run/redis.sock",
    ],
)
def test_a_wrong_address_is_a_sentence(tmp_path: Path, store: str) -> None:
    assert mistake(tmp_path, limit(f'{RULES}\nstore = "{store}"')) == ("middlewares[0].store", STORE, "")
    assert mistake(tmp_path, key(f'failures = "20/m"\nstore = "{store}"')) == ("middlewares[0].store", STORE, "")


@pytest.mark.parametrize(
    "store",
    [
        "redis://localhost",
        "redis://localhost/",
        "redis://10.0.0.1:6379/15",
        "redis://:secret@cache.example.com:6379/0",
        "rediss://user:s%40cret@[2001:db8::1]:6380",
    ],
)
def test_an_address_is_taken(tmp_path: Path, store: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        limit(f'{RULES}\nstore = "$STORE"\non_outage = "refuse"') + key('failures = "20/m"\nstore = "$STORE"')
    )

    limits, keys = load(file, {"STORE": store}).middlewares

    assert isinstance(limits, RateLimit)
    assert isinstance(keys, ApiKey)
    assert (limits.store, limits.on_outage, keys.store) == (store, "refuse", store)


def test_check_tells_the_sentence_and_not_the_password(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(limit(f'{RULES}\nstore = "redis://:hunter2@localhost:port"'))

    done = subprocess.run(
        [sys.executable, "-m", "nijika", "check", "--config", str(file)], capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert f"middlewares[0].store: {STORE}" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_of_an_unset_variable_names_the_variable(tmp_path: Path) -> None:
    found = mistake(tmp_path, limit(f'{RULES}\nstore = "$REDIS_URL"'))

    assert found == ("middlewares[0].store", "the variable REDIS_URL is not set", "")


REDIS = '\nstore = "redis://localhost"'
TOO_LONG = "takes more than 100 days to come back, which is more than is counted exactly in Redis; make it smaller"
MISTAKES = [
    (limit(f'{RULES}{REDIS}\non_outage = "ignore"'), "middlewares[0].on_outage", "should be 'local' or 'refuse'", ""),
    (
        limit(f'{RULES}\non_outage = "refuse"'),
        "middlewares[0]",
        "on_outage is of use with a Redis as store only; memory is never away",
        "",
    ),
    (
        limit(f'{RULES}{REDIS}\non_outge = "local"'),
        "middlewares[0].on_outge",
        "is not a setting",
        'did you mean "on_outage"?',
    ),
    (
        limit('rules = [{ prefix = "/", per = "address" }]'),
        "middlewares[0].rules[0]",
        'a rule has a limit such as "5/s", a concurrency such as 4, or both',
        "",
    ),
    (
        limit('rules = [{ prefix = "/", concurrency = 4, burst = 10 }]'),
        "middlewares[0].rules[0]",
        "burst is of use with a limit only",
        "",
    ),
    (
        limit('rules = [{ prefix = "/", concurrency = 0 }]'),
        "middlewares[0].rules[0].concurrency",
        "should be greater than 0",
        "",
    ),
    (
        limit('rules = [{ prefix = "/", concurency = 4 }]'),
        "middlewares[0].rules[0].concurency",
        "is not a setting",
        'did you mean "concurrency"?',
    ),
    (
        limit('rules = [{ prefix = "/", limit = "5/s", per = "user" }]'),
        "middlewares[0].rules[0].per",
        "should be 'address', 'key' or 'account'",
        "",
    ),
    (
        limit('rules = [{ prefix = "/", limit = "5 a second" }]'),
        "middlewares[0].rules[0].limit",
        'a rate is a number of calls by s, m, h or d, such as "5/s"',
        "",
    ),
    (
        limit('rules = [{ prefix = "/a", limit = "5/s" }, { prefix = "/a/", concurrency = 4 }]'),
        "middlewares[0]",
        'two rules for the prefix "/a/"',
        "",
    ),
    (
        limit(f'rules = [{{ prefix = "/", limit = "1/d", burst = 101 }}]{REDIS}'),
        "middlewares[0]",
        f'the burst of "/" {TOO_LONG}',
        "",
    ),
    (
        limit('rules = [{ prefix = "/", concurrency = 4, per = "account" }]'),
        "middlewares[0]",
        '"rate_limit" needs "api_key" before it',
        'add a table [[middlewares]] with use = "api_key"',
    ),
    (
        key('failures = "many"'),
        "middlewares[0].failures",
        'a rate is a number of calls by s, m, h or d, such as "5/s"',
        "",
    ),
    (key('failure = "20/m"'), "middlewares[0].failure", "is not a setting", 'did you mean "failures"?'),
    (
        key('store = "redis://localhost"'),
        "middlewares[0]",
        'store is where failures are counted; add failures = "20/m", or remove it',
        "",
    ),
]


@pytest.mark.parametrize(("text", "place", "sentence", "hint"), MISTAKES)
def test_each_mistake_is_a_sentence_in_its_place(
    tmp_path: Path, text: str, place: str, sentence: str, hint: str
) -> None:
    assert mistake(tmp_path, text) == (place, sentence, hint)


def test_explain_tells_the_rate_that_counts_also_below_a_concurrency(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        limit('rules = [{ prefix = "/", limit = "5/s" }, { prefix = "/health", concurrency = 4 }]')
        + '[[routes]]\nuse = "health"\n'
    )

    command = [sys.executable, "-m", "nijika", "explain", "GET", "/health", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "203.0.113.7: 5 a second, 5 at once (longest matching prefix: /)" in done.stdout
