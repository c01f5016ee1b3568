"""docs/configuration.md and `nijika describe` are what the models say, and leave no setting without its words."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from nijika import manual
from nijika.__main__ import main
from nijika.credits import Amount
from nijika.endpoint import PriceSetting
from nijika.limits.settings import PerTimeSetting
from nijika.manual.page import markdown
from nijika.manual.values import default, kind
from nijika.middlewares import MIDDLEWARES
from nijika.module import Settings
from nijika.plugins import PLUGINS

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
SHEETS = [sheet for chapter in manual.chapters() for sheet in chapter.sheets]
ENTRIES = [(sheet.heading, entry) for sheet in SHEETS for entry in sheet.entries]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command, as from a shell: status, output, errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nijika", *arguments])
        status = main()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_the_page_is_what_the_models_say() -> None:
    assert PAGE.read_text() == markdown(manual.chapters()), "make docs writes it anew"


def test_every_link_and_plugin_has_its_sheet() -> None:
    headings = [sheet.heading for sheet in SHEETS]

    assert [name for name in MIDDLEWARES if f'[[middlewares]] use = "{name}"' not in headings] == []
    assert [name for name in PLUGINS if f'[[routes]] use = "{name}"' not in headings] == []
    assert {"[server]", "[database]", "[ledger]", "[credits]", "[login]", "[upstreams.NAME]"} <= set(headings)


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.heading)
def test_a_table_says_what_it_is_for(sheet: manual.Sheet) -> None:
    assert sheet.words.endswith(".")


@pytest.mark.parametrize(("table", "entry"), ENTRIES, ids=lambda part: part if isinstance(part, str) else part.path)
def test_a_setting_says_what_it_does(table: str, entry: manual.Entry) -> None:
    """The string below its field, a sentence at least."""
    assert entry.words.endswith("."), f"{table} {entry.path}"


class Inner(Settings):
    depth: int = 1
    """How deep."""


class Sample(Settings):
    text: str
    long: Annotated[str, Field(max_length=9)] = "x|y"
    flag: bool = True
    seconds: Annotated[float, Field(ge=2, le=9, title="seconds")] = 5
    choice: Literal["a", "b"] | None = None
    amount: Amount = 10_000
    price: PriceSetting
    pace: PerTimeSetting | None = None
    many: Annotated[tuple[Annotated[str, Field(title="address")], ...], Field(min_length=1)] = ("here",)
    fields: dict[str, str] = Field(default_factory=dict)
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("name", "value", "left_out"),
    [
        ("text", "text", None),
        ("long", "text, at most 9 characters", '"x|y"'),
        ("flag", "true or false", "true"),
        ("seconds", "seconds, at least 2, at most 9", "5"),
        ("choice", '`"a"` or `"b"`', ""),
        ("amount", 'credits, such as `"0.01"`', '"0.01"'),
        ("price", 'credits, such as `"0.01"`; `"free"`; or a table', None),
        ("pace", 'rate such as `"5/s"`, by `s`, `m`, `h` or `d`', ""),
        ("many", "list (address), at least 1", '["here"]'),
        ("fields", "table (text)", "{}"),
        ("inner", "table", ""),
    ],
)
def test_values_are_told_in_the_words_of_the_file(name: str, value: str, left_out: str | None) -> None:
    field = Sample.model_fields[name]

    assert (kind(field), default(field)) == (value, left_out)


def test_describe_lists_what_there_is(run: Run) -> None:
    status, out, _ = run("describe")

    assert status == 0
    assert [line.partition("   ")[0] for line in out.splitlines()] == [sheet.heading for sheet in SHEETS]


def test_describe_tells_of_a_table_with_all_its_settings(run: Run) -> None:
    status, out, _ = run("describe", "database")

    assert status == 0
    assert out.startswith("[database]\n\nWhere accounts, keys")
    assert "\nconnections_max: whole number, more than 0 (left out: 10)\n    Connections" in out


def test_describe_tells_of_one_setting_and_what_is_in_it(run: Run) -> None:
    status, out, _ = run("describe", "upstreams.wake")

    assert status == 0
    assert [line.partition(":")[0] for line in out.splitlines() if line[:1].isalpha()] == [
        "wake",
        "wake.path",
        "wake.seconds",
    ]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("proxi", 'There is no table "proxi" (did you mean "proxy"?).'),
        ("proxy.prize", '"proxy" has no setting "prize" (did you mean "price"?).'),
    ],
)
def test_describe_helps_with_a_name_that_is_not_there(run: Run, name: str, sentence: str) -> None:
    status, out, err = run("describe", name)

    assert (status, out, err) == (1, "", f"{sentence}\n")


def test_the_page_can_be_made_by_the_command(run: Run) -> None:
    assert run("describe", "--markdown") == (0, PAGE.read_text(), "")


def test_a_bar_in_words_does_not_end_a_cell() -> None:
    entry = manual.Entry("either", "text", '"x|y"', "One|two, see money.md.")

    page = markdown([manual.Chapter("Title", "", (manual.Sheet("t", "[t]", "Words.", (entry,)),))])

    assert r'| `either` | text | `"x\|y"` | One\|two, see [money.md](money.md). |' in page
