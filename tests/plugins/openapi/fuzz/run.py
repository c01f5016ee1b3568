"""One run of schemathesis in a process of its own, and what it has seen."""

import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOOKS = "tests.plugins.openapi.fuzz.hooks"
ROOT = Path(__file__).parents[4]
SECONDS_MAX = 3600


@dataclass(frozen=True)
class Run:
    """How it ended: `report` is for people, `statuses` are by operation as the document has it: `GET /api/account`."""

    status: int
    report: str
    statuses: Mapping[str, Sequence[int]]

    @property
    def all_statuses(self) -> set[int]:
        return {status for seen in self.statuses.values() for status in seen}


async def fuzz(
    url: str,
    folder: Path,
    *,
    examples: int,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    known: Mapping[str, Sequence[object]] | None = None,
    unchecked: Sequence[str] = (),
) -> Run:
    """Call every operation of the document at `url` in some `examples` ways, the same ones each time.

    `known` has values that are really there, by the name that a path or body has for them.
    """
    file, seen = folder / "schemathesis.toml", folder / "seen.tsv"
    seen.unlink(missing_ok=True)
    file.write_text(_settings(examples, key, headers or {}, unchecked))
    command = (
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        file,
        "--no-color",
        "run",
        f"{url}/openapi.json",
    )
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SEEN": str(seen), "KNOWN": json.dumps(known or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        report, _ = await asyncio.wait_for(process.communicate(), SECONDS_MAX)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Run(process.returncode or 0, report.decode(), _statuses(seen))


def _settings(examples: int, key: str | None, headers: Mapping[str, str], unchecked: Sequence[str]) -> str:
    """A schemathesis.toml; JSON's texts and lists are TOML's, too."""
    # What is right in itself may be no right call any more: an Idempotency-Key is used once, and credit ends.
    met_first = [401, 402, 403, 404, 409, 422, 429]
    checks = {
        "positive_data_acceptance": f"{{ expected-statuses = {json.dumps(['2xx', *met_first])} }}",
        "negative_data_rejection": f"{{ expected-statuses = {json.dumps([400, 413, 415, *met_first])} }}",
        **dict.fromkeys(unchecked, "{ enabled = false }"),
    }
    return "\n".join(
        (
            f"hooks = {json.dumps(HOOKS)}",
            "continue-on-failure = true",
            'suppress-health-check = ["all"]',
            "warnings = false",
            f"headers = {{ {', '.join(f'{json.dumps(name)} = {json.dumps(value)}' for name, value in headers.items())} }}",
            f"generation = {{ max-examples = {examples}, deterministic = true, no-shrink = true }}",
            "phases = { stateful = { enabled = false } }",
            *(f"checks.{name} = {settings}" for name, settings in checks.items()),
            *([f"auth.openapi.ApiKey = {{ api_key = {json.dumps(key)} }}"] if key else []),
            "[[operations]]",
            # No schema says whether bytes are a picture, or whether this worker fetches addresses.
            'include-path-regex = "^/api/(cutout|alpha|upscale)$"',
            "checks.positive_data_acceptance = { enabled = false }",
        )
    )


def _statuses(seen: Path) -> Mapping[str, Sequence[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for line in seen.read_text().splitlines() if seen.exists() else ():
        label, _, status = line.partition("\t")
        found[label].append(int(status))
    return found
