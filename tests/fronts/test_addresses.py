"""Who calls, as the gateway sees it through each front, whatever the caller claims."""

from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.fronts.callers import PROTOCOLS, SOMEBODY, SOMEBODY_ELSE, caller
from tests.fronts.certificate import Certificate
from tests.fronts.front import Site, running
from tests.gateway import Gateway
from tests.peers import answers
from tests.peers.upstream import Upstream

CLAIMS = {
    "nothing": {},
    "X-Forwarded-For": {"X-Forwarded-For": "198.51.100.1"},
    "a trusted hop": {"X-Forwarded-For": "198.51.100.1, 127.0.0.1"},
    "garbage": {"X-Forwarded-For": '", for=198.51.100.1, "'},
    "Forwarded": {"Forwarded": "for=198.51.100.1"},
    "an open quote": {"Forwarded": 'for=198.51.100.1;x="'},
    "X-Real-IP": {"X-Real-IP": "198.51.100.1", "True-Client-IP": "198.51.100.1"},
    "another spelling": {"X_Forwarded_For": "198.51.100.1"},
    "for this hop only": {"X-Forwarded-For": "198.51.100.1", "Connection": "X-Forwarded-For, Forwarded"},
}


async def told(upstream: Upstream) -> list[str]:
    """Whom the worker was told of last."""
    return upstream.seen[-1].values("X-Forwarded-For")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_callers_address_is_right_and_no_claim_changes_it(
    front: Site, upstream: Upstream, protocol: str
) -> None:
    upstream.plan("*", answers.answer(200))
    seen = {}
    async with caller(front, protocol=protocol) as client:
        for name, fields in CLAIMS.items():
            if protocol == "HTTP/2" and "Connection" in fields:
                continue  # there is no such field there
            answer = await client.get("/free/x", headers=fields)
            assert (answer.status_code, answer.http_version) == (200, protocol), name
            seen[name] = await told(upstream)

    assert {tuple(addresses) for addresses in seen.values()} == {(SOMEBODY,)}, seen


async def test_each_caller_has_a_limit_of_its_own(front: Site, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200))
    statuses = []
    for address in (SOMEBODY, SOMEBODY_ELSE):
        for number in range(3):
            async with caller(front, address=address) as client:
                answer = await client.get("/free/limited", headers={"X-Forwarded-For": f"198.51.100.{number}"})
                statuses.append(answer.status_code)

    assert statuses == [200, 200, 429] * 2


@pytest.mark.parametrize("kind", ["nginx"])
async def test_who_passes_by_the_front_forges_nothing(front: Site, gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200))
    seen = []
    connector = aiohttp.TCPConnector(local_addr=(SOMEBODY, 0))
    async with aiohttp.ClientSession(gateway.url, connector=connector) as session:
        for fields in CLAIMS.values():
            async with session.get("/free/x", headers=fields) as answer:
                assert answer.status == 200
            seen += await told(upstream)

    assert set(seen) == {SOMEBODY}


@pytest.mark.parametrize(("outer", "inner"), [("nginx", "haproxy"), ("haproxy", "caddy"), ("caddy", "nginx")])
async def test_through_two_hops_the_callers_address_is_right(
    tmp_path: Path, gateway: Gateway, upstream: Upstream, certificate: Certificate, outer: str, inner: str
) -> None:
    upstream.plan("*", answers.answer(200))
    place = urlsplit(gateway.url).netloc
    with running(inner, tmp_path / "inner", (place, place), None) as second:
        with running(outer, tmp_path / "outer", (second.place, second.place), certificate) as first:
            for address in (SOMEBODY, SOMEBODY_ELSE):
                async with caller(first, address=address) as client:
                    answer = await client.get("/free/x", headers={"X-Forwarded-For": "198.51.100.1"})

                    assert answer.status_code == 200
                    assert await told(upstream) == [address]
