"""Whether a caller wants JSON: pictures are what comes unless it is asked for in so many words (RFC 9110, 12.5.1)."""

from collections.abc import Iterator

JSON, ANYTHING = "application/json", "*/*"


def wants_json(accept: str) -> bool:
    """Whether JSON is asked for, and rather than pictures.

    Who would take anything has not chosen: so says the field that axios sends by itself, with JSON at its head.
    """
    weights = dict(_weighted(accept))
    picture = max((weight for kind, weight in weights.items() if kind.startswith("image/")), default=0.0)
    return ANYTHING not in weights and weights.get(JSON, 0.0) > picture


def _weighted(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.lower().split(","):
        kind, *parameters = (text.strip() for text in part.split(";"))
        weights = [text[2:] for text in parameters if text.startswith("q=")]
        yield kind, _weight(weights[0]) if weights else 1.0


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0  # what cannot be read is no wish
