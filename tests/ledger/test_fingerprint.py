"""The same call has the same fingerprint, however its body is cut into pieces."""

import itertools
from collections.abc import Set

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nijika.errors import IdempotencyKeyReused
from nijika.ledger import Fingerprint

# Few letters, so that bodies are full of boundaries and of halves of them.
BODIES = st.lists(st.sampled_from([b"-", b"--", b"B", b"--B", b"x", b"\r\n"]), max_size=30).map(b"".join)


def digest(body: bytes, *, cuts: Set[int] = frozenset(), type: str = "", target: str = "POST /x?") -> bytes | None:
    fingerprint = Fingerprint(target, type)
    places = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    for begin, end in itertools.pairwise(places):
        fingerprint.update(body[begin:end])
    fingerprint.finish()
    return fingerprint.digest


@given(BODIES, st.sets(st.integers(0, 60)), st.sampled_from(["", "multipart/form-data; boundary=B"]))
def test_the_digest_does_not_depend_on_the_pieces(body: bytes, cuts: set[int], type: str) -> None:
    assert digest(body, cuts=cuts, type=type) == digest(body, type=type)


@pytest.mark.parametrize("other", [b"pictures", b"pictur", b"Picture", b""])
def test_another_body_has_another_digest(other: bytes) -> None:
    assert digest(b"picture") != digest(other)


def test_another_target_has_another_digest() -> None:
    assert digest(b"picture", target="POST /x?format=png") != digest(b"picture", target="POST /x?format=webp")


def test_no_form_is_the_same_as_a_plain_body_or_as_another_form() -> None:
    plain = digest(b"--")
    form_of_nothing = digest(b"--draw a cat", type='multipart/form-data; boundary="draw a cat"')
    two_parts = digest(b"a--Bb", type="multipart/form-data; boundary=B")
    one_part = digest(b"a--b", type="multipart/form-data; boundary=B")

    assert len({plain, form_of_nothing, two_parts, one_part}) == 4


def form(boundary: str, picture: bytes = b"\x89PNG") -> bytes:
    part = b'\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + picture + b"\r\n"
    return b"--" + boundary.encode() + part + b"--" + boundary.encode() + b"--\r\n"


@pytest.mark.parametrize("quote", ["", '"'])
def test_the_boundary_of_a_form_does_not_count_since_clients_choose_it_anew(quote: str) -> None:
    first, second = "----------------------1111", "----------------------2222"
    types = [f"multipart/form-data; charset=x; boundary={quote}{boundary}{quote}" for boundary in (first, second)]

    one, two = digest(form(first), type=types[0]), digest(form(second), type=types[1])

    assert one == two
    assert digest(form(second, b"GIF89"), type=types[1]) != one


def test_what_is_not_the_expected_call_is_refused_at_its_end() -> None:
    fingerprint = Fingerprint("POST /x?")
    fingerprint.expected = digest(b"picture")
    fingerprint.update(b"another")

    with pytest.raises(IdempotencyKeyReused):
        fingerprint.finish()
