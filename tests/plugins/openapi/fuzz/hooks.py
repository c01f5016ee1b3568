"""What schemathesis is told beyond the document: how pictures look, and what else must hold of an answer.

Loaded by its own process; each call leaves a line in the file that the variable SEEN names.
"""

import io
import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import schemathesis
from hypothesis import strategies as st
from PIL import Image
from schemathesis import Case, CheckContext, HookContext, Response

SEEN = Path(os.environ["SEEN"])
KNOWN: dict[str, Any] = json.loads(os.environ["KNOWN"])
"""What is really there, by the name that a path or a body has for it."""


def _picture(kind: str) -> bytes:
    image = Image.new("RGB", (24, 16), "white")
    image.paste((200, 30, 30), (6, 4, 18, 12))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


PICTURES = [_picture(kind) for kind in ("PNG", "JPEG", "WEBP")]
BROKEN = [b"", PICTURES[0][:40], b"GIF89a", b"\x00" * 2000]

schemathesis.openapi.media_type("image/*", st.sampled_from([*PICTURES, *BROKEN]), aliases=["image/png"])


@schemathesis.hook
def flatmap_headers(_: HookContext, fields: Any) -> st.SearchStrategy[Any]:
    """An Idempotency-Key is seldom two calls' own, so that calls without one are seen, too."""
    if not isinstance(fields, dict) or "Idempotency-Key" not in fields:
        return st.just(fields)
    without = {name: value for name, value in fields.items() if name != "Idempotency-Key"}
    return st.sampled_from([fields, without])


@schemathesis.hook
def flatmap_case(_: HookContext, case: "Case[Any]") -> "st.SearchStrategy[Case[Any]]":
    """Where nothing is meant to be wrong, a picture is one half of the time, and an id or account is there."""
    if case.meta is None or case.meta.generation.mode.is_negative:
        return st.just(case)
    known = {"image": PICTURES, **KNOWN}
    names = [name for part in (case.body, case.path_parameters) if isinstance(part, dict) for name in part]
    chosen = st.fixed_dictionaries({name: st.sampled_from(known[name]) for name in names if name in known})
    return st.one_of(st.just({}), chosen).map(lambda values: _with(case, values))


def _with(case: "Case[Any]", values: dict[str, Any]) -> "Case[Any]":
    for part in (case.body, case.path_parameters):
        if isinstance(part, dict):
            part.update({name: value for name, value in values.items() if name in part})
    return case


@schemathesis.hook
def after_call(_: HookContext, case: "Case[Any]", response: Response) -> None:
    """Remember what was answered."""
    with SEEN.open("a") as file:
        print(case.operation.label, response.status_code, sep="\t", file=file)


@schemathesis.check
def a_problem_of_ours_is_documented(_: CheckContext, response: Response, case: "Case[Any]") -> None:
    """Its code stands beside its status, and it is about this very request."""
    if response.headers.get("content-type") != ["application/problem+json"] or not response.content:
        return
    problem = response.json()
    is_ours = str(problem.get("type")).startswith("urn:nijika:problem:")
    if not is_ours or problem["code"] == "method-not-allowed":  # of an operation that is not there
        return
    told = case.operation.definition.raw["responses"].get(str(problem["status"]), {}).get("x-problems", [])
    assert problem["code"] in {known["code"] for known in told}, f"{problem['code']} is not documented"
    assert response.headers["x-request-id"] == [problem["request_id"]]
    assert UUID(problem["request_id"]).version == 7


@schemathesis.check
def a_failed_call_costs_nothing(_: CheckContext, response: Response, __: "Case[Any]") -> None:
    charged = response.headers.get("x-credits-charged", ["0"])
    assert response.status_code < 300 or charged == ["0"]
