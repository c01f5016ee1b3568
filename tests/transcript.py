"""A document as a session at terminals: its files are written, its commands typed, its outputs compared.

- A block whose first line names a file (`# worker.py`) is that file; `# config.toml, at its end` goes there.
- A `console` block is typed: lines that begin with `$ ` are commands, the others what they print. `…` stands for any
  text, and alone for any lines. In a command, a word with `…` is the last word that was printed and fits.
- `console 9000` is typed in a terminal of its own, where its one command stays, and listens on that port.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

END_SECONDS = 240

_BLOCK = re.compile(r"^```([a-z]+)(?: (\d+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r'(?:# |""")([\w-]+\.(?:py|toml))\b(.*)')

_HEAD = r"""
exec > transcript 2>&1
OUT=$PWD
trap 'kill $(jobs -p); wait' EXIT
last() { grep -aohE "$1\w+" "$OUT"/transcript | tail -1; }
listens() { until (: < /dev/tcp/127.0.0.1/$1) 2> /dev/null; do sleep 0.05; done; }
"""


@dataclass(frozen=True)
class Turn:
    """A command, and what it prints; `stays` is the port on which it then listens in a terminal of its own, or ""."""

    command: str
    expected: str
    stays: str


def play(document: str, folder: Path, environment: Mapping[str, str], *, ports: Mapping[str, str]) -> None:
    """The whole document, with free `ports` in place of its own.

    AssertionError where something else is printed than stands there.
    """
    for port, free in ports.items():
        document = document.replace(port, free)
    turns: list[Turn] = []
    _run("\n".join([_HEAD, *_lines(document, turns, ports)]), folder, environment)
    printed = (folder / "transcript").read_text().split("\0")[1:]
    assert len(printed) == len(turns), f"it ended with\n{printed[-1]}"
    for turn, text in zip(turns, printed, strict=True):
        told = (folder / turn.stays).read_text() if turn.stays else text
        expected = turn.expected + ("\n…" if turn.stays else "")  # there it goes on to print
        told = "".join(f"{line.rstrip()}\n" for line in told.strip("\n").splitlines())
        assert re.fullmatch(_pattern(expected), told), f"$ {turn.command}\n{told}\nexpected:\n{expected}"


def _lines(document: str, turns: list[Turn], ports: Mapping[str, str]) -> Iterator[str]:
    """A script that does it all, and prints NUL before the output of each of the `turns`."""
    for kind, stays, text in _BLOCK.findall(document):
        named = _FILE.match(text)
        if kind == "console":
            for turn in _turns(text, stays):
                turns.append(turn)
                yield "printf '\\0'"
                yield from _typed(turn, ports)
        elif named is not None:
            yield f"cat {'>>' if 'at its end' in named[2] else '>'} {named[1]} <<'__END__'\n{text}__END__"


def _turns(text: str, stays: str) -> Iterator[Turn]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield Turn(command, expected.strip("\n"), stays)


def _typed(turn: Turn, ports: Mapping[str, str]) -> Iterator[str]:
    command = re.sub(r"(\w+)…", r"$(last \1)", turn.command)
    if turn.stays:
        yield f'{command} > "$OUT"/{turn.stays} 2>&1 &'
        yield f"listens {turn.stays}"
        return
    yield command
    if command.startswith("nijika init"):
        yield from (f"sed -i 's/{port}/{free}/' config.toml" for port, free in ports.items())


def _pattern(expected: str) -> str:
    return "".join("(?:.*\n)*?" if line == "…" else f"{_escaped(line)}\n" for line in expected.strip("\n").splitlines())


def _escaped(line: str) -> str:
    return ".*?".join(re.escape(part) for part in line.rstrip().split("…"))


def _run(script: str, folder: Path, environment: Mapping[str, str]) -> None:
    """In a group of its own, of which nothing is left."""
    command = ("bash", "-c", script)
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, stdin=subprocess.DEVNULL)
    try:
        process.wait(END_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
