"""A gateway that speaks remove.bg's contract, in front of a worker that answers as planned."""

import email.parser
import email.policy
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conftest import Start
from tests.gateway import CHAIN, Customer, Gateway, configuration, upstream_table
from tests.peers.seen import Seen
from tests.peers.upstream import Upstream

PATH, ACCOUNT, WORKER = "/v1.0/removebg", "/v1.0/account", "/v1/cutout"
ROUTE = '[[routes]]\nuse = "removebg"\nupstream = "worker"\nprice = "0.25"\n'
LIMITED = '[[middlewares]]\nuse = "rate_limit"\nrules = [{ prefix = "/", limit = "1/m", burst = 2 }]\n' + CHAIN


@pytest.fixture
async def gateway(start: Start, upstream: Upstream) -> AsyncIterator[Gateway]:
    """`POST /v1.0/removebg` for 0.25 credits on the upstream, and `GET /v1.0/account`."""
    async with start(configuration(upstream_table(upstream.url), routes=ROUTE)) as gateway:
        yield gateway


async def remove(customer: Customer, data: Any = None, **more: Any) -> tuple[aiohttp.ClientResponse, bytes]:
    """A call with the fields of a form."""
    headers = {**customer.fields, **more.pop("headers", {})}
    async with customer.gateway.session.post(PATH, data=data, headers=headers, **more) as answer:
        return answer, await answer.read()


def error(body: bytes) -> dict[str, str]:
    """The one error of an answer, which has no more in it than their form has."""
    (error,) = json.loads(body)["errors"]
    assert error.keys() <= {"title", "code", "detail"}
    assert error["title"]
    return dict(error)


def sent(seen: Seen) -> dict[str, bytes]:
    """What the worker was sent, field by field; JSON likewise."""
    kind = seen.value("Content-Type") or ""
    if kind == "application/json":
        return {name: value.encode() for name, value in json.loads(seen.body).items()}
    raw = f"Content-Type: {kind}\r\n\r\n".encode() + seen.body
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(raw)
    assert message.is_multipart()
    assert not message.defects
    fields = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        assert isinstance(name, str)
        assert name not in fields
        fields[name] = part.get_payload(decode=True)
    return fields  # type: ignore[return-value] # the payload of a part is bytes
