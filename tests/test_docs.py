"""The documents say what there is: every setting, plugin, link, command and option has its words, and no link is dead."""

import argparse
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from nijika import metrics
from nijika.__main__ import _parser
from nijika.config import Config
from nijika.metrics.registry import REGISTRY
from nijika.middlewares import MIDDLEWARES
from nijika.plugins import PLUGINS
from worker import __main__ as worker

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
EXAMPLE = (ROOT / "config.toml").read_text()


def settings(model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> Iterator[tuple[str, str]]:
    """(model, field) of everything that config.toml may say below `model`."""
    seen = set() if seen is None else seen
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        yield model.__name__, name
        for inner in models(field.annotation):
            yield from settings(inner, seen)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within a type, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models(part)


def commands(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """(command, option) of everything that can be typed; an option of "" is the command itself."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield " ".join((*path, name)), ""
                yield from commands(child, (*path, name))
        elif action.option_strings and path:
            yield " ".join(path), action.option_strings[-1]


TABLES: list[type[BaseModel]] = [Config, *MIDDLEWARES.values(), *PLUGINS.values()]
SETTINGS = sorted(
    {
        (owner, name)
        for model in TABLES
        for owner, name in settings(model)
        if name != "use" and (owner, name) != ("Config", "directory")
    }
)
COMMANDS = sorted(set(commands(_parser())))
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("", "_bucket", "_sum", "_count")}


@pytest.mark.parametrize(("owner", "name"), SETTINGS)
def test_a_setting_stands_in_the_example_or_has_its_words(owner: str, name: str) -> None:
    in_example = re.search(rf"(?m)(^|[#{{, \[.]){name}( =|\]|\.)", EXAMPLE)

    assert in_example or re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`|^{name} =|[{{, ]{name} =", TEXT, re.MULTILINE), owner


@pytest.mark.parametrize("name", sorted([*PLUGINS, *MIDDLEWARES]))
def test_a_plugin_or_link_stands_in_the_example_or_has_its_words(name: str) -> None:
    assert f'use = "{name}"' in EXAMPLE + TEXT


@pytest.mark.parametrize(("command", "option"), COMMANDS)
def test_a_command_and_its_options_have_their_words(command: str, option: str) -> None:
    noun, _, verb = command.partition(" ")
    lines = "\n".join(line for line in TEXT.splitlines() if re.search(rf"\bnijika {noun}\b", line))

    assert lines
    assert re.search(rf"\b{verb}\b", lines)
    assert option in {"", "-h", "--help", "--config", "--data", "--json"} or option in TEXT


def test_no_document_names_a_command_that_is_not_there() -> None:
    known = {command for command, _ in COMMANDS}
    typed = re.findall(r"(?:`|^\$ |^\.venv/bin/|-m )nijika ([a-z]+)(?: ([a-z]+)\b)?", TEXT, re.MULTILINE)

    assert [noun for noun, _ in typed if noun not in known] == []
    nouns = {command.split()[0] for command in known if " " in command}
    assert [(noun, verb) for noun, verb in typed if verb and noun in nouns and f"{noun} {verb}" not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def counted() -> dict[str, tuple[str, ...]]:
    """Each metric that there is, as a scrape spells it, with its labels."""
    for module in pkgutil.iter_modules(metrics.__path__):
        importlib.import_module(f"nijika.metrics.{module.name}")
    found = {}
    for collector in list(REGISTRY._collector_to_names):
        (metric,) = collector.describe()  # type: ignore[attr-defined]
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        found[name] = (metric.type, *collector._labelnames)  # type: ignore[attr-defined]
    return found


METRICS = counted()


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_its_words_with_its_type_and_labels(name: str) -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    (row,) = re.findall(rf"(?m)^\| `{name}` \| (\w+) \|(.*?)\| (.+) \|$", page)

    assert (row[0], *re.findall(r"`(\w+)`", row[1])) == METRICS[name]


def test_no_document_and_no_dashboard_names_a_metric_that_is_not_there() -> None:
    named = set(re.findall(r"\bnijika_[a-z_]+", TEXT + (ROOT / "docs/grafana.json").read_text()))
    known = {name + suffix for name, (kind, *_) in METRICS.items() for suffix in SUFFIXES[kind]}

    assert named - known == set()


def test_the_dashboard_shows_every_metric_and_asks_for_labels_that_there_are() -> None:
    board = json.loads((ROOT / "docs/grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]

    assert [name for name in METRICS if not any(re.search(rf"\b{name}", query) for query in queries)] == []
    for query in queries:
        labels = {label for name in METRICS if re.search(rf"\b{name}(_|\b)", query) for label in METRICS[name][1:]}
        grouped = [label.strip() for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(",")]
        asked = re.findall(r"[{,](\w+)[=!]", query)
        assert {*grouped, *asked} - labels - {"job", "le"} == set(), query


def test_the_dashboard_leaves_it_to_grafana_where_the_numbers_are() -> None:
    board = json.loads((ROOT / "docs/grafana.json").read_text())
    names = [variable["name"] for variable in board["templating"]["list"]]
    sources = {panel["datasource"]["uid"] for panel in board["panels"] if "datasource" in panel}
    places = [panel["gridPos"] for panel in board["panels"]]

    assert (board["id"], names[0], sources) == (None, "datasource", {"${datasource}"})
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert all(place["x"] + place["w"] <= 24 for place in places)


@pytest.mark.parametrize("option", sorted(o for a in worker._parser()._actions for o in a.option_strings if o != "-h"))
def test_the_workers_options_have_their_words(option: str) -> None:
    assert option in TEXT or option == "--help"
