"""What an upstream's table may say together, and the sentences for what it may not."""

from pathlib import Path

import pytest

from nijika.app import build
from nijika.config import load
from nijika.errors import ConfigError, Mistake
from nijika.state import UPSTREAMS
from tests.gateway import CHAIN, configuration, loaded
from tests.proxy.behind import table


def mistakes(directory: Path, text: str) -> list[Mistake]:
    file = directory / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load(file)
    return refusal.value.mistakes


def upstreams(*fallbacks: str) -> str:
    """Upstreams a, b, …, with these fallbacks."""
    names = "abcdef"
    return "".join(
        table(name, f"http://{name}", settings=f'fallback = "{fallback}"' if fallback else "")
        for name, fallback in zip(names, fallbacks, strict=False)
    )


def proxy(path: str, upstream: str, target: str, price: str = "free") -> str:
    return (
        f'[[routes]]\nuse = "proxy"\npath = "{path}"\nupstream = "{upstream}"\ntarget = "{target}"\nprice = "{price}"\n'
    )


def test_an_upstream_is_made_as_its_table_says(tmp_path: Path) -> None:
    settings = (
        "failures_max = 7\nrest_seconds = 2\nrest_seconds_max = 9\nconcurrency = 3\nqueue = 4\nqueue_seconds = 5\n"
        'fallback = "spare"\ncheck = { path = "/health", seconds = 6 }\ntotal_seconds = 100\nmax_rate = "3/s"'
    )
    text = configuration(table("worker", "http://a", "http://b", settings=settings) + table("spare", "http://c"))

    made = build(loaded(tmp_path, text), database_url="")[UPSTREAMS]

    worker, spare = made["worker"], made["spare"]
    assert worker.chain == [worker, spare]
    assert (worker.seconds_max, spare.seconds_max) == (100 + 10 + 2 * 5, 600 + 10)
    assert worker.state() == [{"state": "ok", "in_flight": 0, "failure": False}] * 2
    assert (worker.waiting, spare.fallback) == (0, None)


@pytest.mark.parametrize(
    ("settings", "where", "what"),
    [
        ("failures_max = 0", ".failures_max", "greater than 0"),
        ("rest_seconds = 0", ".rest_seconds", "greater than 0"),
        ("rest_seconds = 60", "", "not longer than rest_seconds_max"),
        ("rest_seconds_max = 0.5", "", "not longer than rest_seconds_max"),
        ("concurrency = 0", ".concurrency", "greater than 0"),
        ("concurrency = 1\nqueue = -1", ".queue", "greater than or equal to 0"),
        ("queue = 5", "", "with a concurrency only"),
        ("queue_seconds = 5", "", "with a concurrency only"),
        ('check = { path = "health", seconds = 5 }', ".check.path", "is no path"),
        ('check = { path = "/health" }', ".check.seconds", "is missing"),
    ],
)
def test_a_setting_that_makes_no_sense_is_a_sentence(tmp_path: Path, settings: str, where: str, what: str) -> None:
    ((path, told, _),) = mistakes(tmp_path, table("worker", "http://a", settings=settings))

    assert path == f"upstreams.worker{where}"
    assert what in told


def test_a_fallback_that_is_not_there_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    text = table("main", "http://a", settings='fallback = "spar"') + table("spare", "http://b")

    assert mistakes(tmp_path, text) == [
        ("upstreams.main.fallback", "there is no [upstreams.spar]", 'did you mean "spare"?')
    ]


@pytest.mark.parametrize(
    ("fallbacks", "path", "circle"),
    [
        (("a",), "a", "a > a"),
        (("b", "a"), "a", "a > b > a"),
        (("b", "c", "a", ""), "a", "a > b > c > a"),
        (("b", "c", "b"), "b", "b > c > b"),
    ],
)
def test_a_chain_that_comes_back_to_itself_is_one_mistake(
    tmp_path: Path, fallbacks: tuple[str, ...], path: str, circle: str
) -> None:
    assert mistakes(tmp_path, upstreams(*fallbacks)) == [
        (f"upstreams.{path}.fallback", f"leads back to where it began: {circle}", "the last of a chain has no fallback")
    ]


def test_chains_may_meet_and_end(tmp_path: Path) -> None:
    assert len(loaded(tmp_path, upstreams("c", "c", "d", "")).upstreams) == 4


def test_a_free_wildcard_may_not_reach_what_is_sold_by_way_of_a_fallback(tmp_path: Path) -> None:
    sold = CHAIN + proxy("/api/cut", "b", "/v1/cut", "1")
    apart = proxy("/open/*", "a", "/public/*")

    given_away = mistakes(tmp_path, upstreams("b", "") + sold + proxy("/open/*", "a", "/*"))

    assert [(path, hint) for path, _, hint in given_away] == [
        ("routes[1]", "give the two targets without a common prefix, or other methods")
    ]
    assert len(loaded(tmp_path, upstreams("b", "") + sold + apart).routes) == 2
    assert len(loaded(tmp_path, upstreams("", "") + sold + proxy("/open/*", "a", "/*")).routes) == 2
