"""Who gets JSON: only who asks for it, and not whose library says by itself that it would take that, too."""

import pytest

from nijika.plugins.removebg.accept import wants_json


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json;q=0.1", True),
        ("application/json, text/plain", True),
        ("application/json, image/*;q=0.9", True),
        ("application/json, text/plain, */*", False),  # axios
        ("*/*", False),
        ("image/*", False),
        ("image/png, application/json", False),
        ("image/png, application/json;q=0.1", False),
        ("application/json;q=0", False),
        ("application/json;q=0, image/*", False),
        ("application/json;q=nonsense", False),
        ("application/json;q=nan", False),
        ("application/jsonp", False),
        (";;,,", False),
    ],
)
def test_json_is_for_who_asks_for_it(accept: str, expected: bool) -> None:
    assert wants_json(accept) is expected
