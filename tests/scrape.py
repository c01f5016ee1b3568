"""What a scrape says, as numbers; they belong to the process, so that tests look at what has changed between two."""

from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class Scrape:
    """All samples of one text."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples: dict[tuple[str, Labels], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that have these labels, among others; 0 if there is none."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self._samples.items() if found == name and wanted <= has)

    def since(self, before: "Scrape", name: str, *labels: str) -> dict[Any, float]:
        """By how much each sample of this name has changed, by the values of these labels; unchanged ones not."""
        changes: dict[Any, float] = {}
        for (found, has), value in self._samples.items():
            change = value - before._samples.get((found, has), 0.0)
            if found == name and change:
                values = tuple(dict(has)[label] for label in labels)
                changes[values[0] if len(values) == 1 else values] = round(change, 9)
        return changes


async def scrape(session: aiohttp.ClientSession, url: str = "/metrics") -> Scrape:
    """What `/metrics` says now."""
    async with session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return Scrape(await answer.text())
