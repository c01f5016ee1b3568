"""Whatever goes wrong can be told, whoever renders it."""

import json
from uuid import UUID

import pytest

from nijika.errors import BadParameter
from nijika.middlewares.problems import render
from tests.conftest import Start
from tests.gateway import ROUTES, configuration, upstream_table
from tests.peers.upstream import Upstream

OWNED = ROUTES + "".join(
    f'[[routes]]\nuse = "{name}"\nupstream = "worker"\nprice = "1"\n' for name in ("removebg", "withoutbg")
)


def test_a_detail_that_is_no_clean_text_is_told_all_the_same() -> None:
    response = render(BadParameter("“\ud800” is not a name"), UUID(int=1))

    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["detail"] == "“\ud800” is not a name"


@pytest.mark.parametrize(
    ("method", "path", "allowed", "member"),
    [
        ("GET", "/v1.0/removebg", "POST", "errors"),
        ("POST", "/v1.0/account", "GET, HEAD", "errors"),
        ("GET", "/v1.0/alpha-channel-base64", "POST", "error"),
        ("GET", "/api/removebg", "POST", "type"),
    ],
)
async def test_a_method_that_a_path_lacks_is_told_in_the_words_of_the_path(
    start: Start, upstream: Upstream, method: str, path: str, allowed: str, member: str
) -> None:
    async with start(configuration(upstream_table(upstream.url), routes=OWNED)) as gateway:
        async with gateway.session.request(method, path) as answer:
            told = await answer.json(content_type=None)

        assert (answer.status, answer.headers["Allow"]) == (405, allowed)
        assert member in told
