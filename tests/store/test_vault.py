"""A key's form tells a typing error, its digest finds it, its seal shows it again."""

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nijika.store.vault import Vault, is_well_formed, make_key

LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
OLD, NEW, OTHER = ("a secret that the server had before", "a secret that the server has now", "somebody else's secret")


def test_a_key_is_the_prefix_43_characters_and_a_checksum_of_6() -> None:
    keys = [make_key() for _ in range(200)]

    assert all(re.fullmatch(r"nj_live_[0-9A-Za-z]{43}[0-9A-Za-z]{6}", key) for key in keys)
    assert all(is_well_formed(key) for key in keys)
    assert len(set(keys)) == 200


def test_every_wrong_character_is_found() -> None:
    key = make_key()

    wrong = [
        key[:place] + letter + key[place + 1 :]
        for place in range(len(key))
        for letter in LETTERS + "_-. "
        if letter != key[place]
    ]

    assert len(wrong) > 3000
    assert not [text for text in wrong if is_well_formed(text)]


def test_every_swap_of_neighbours_is_found() -> None:
    keys = [make_key() for _ in range(100)]

    swapped = [
        key[:place] + key[place + 1] + key[place] + key[place + 2 :]
        for key in keys
        for place in range(len(key) - 1)
        if key[place] != key[place + 1]
    ]

    assert len(swapped) > 5000
    assert not [text for text in swapped if is_well_formed(text)]


def test_a_lost_or_doubled_character_is_found() -> None:
    key = make_key()

    wrong = [key[:place] + key[place + 1 :] for place in range(len(key))]
    wrong += [key[:place] + key[place] + key[place:] for place in range(len(key))]

    assert not [text for text in wrong if is_well_formed(text)]


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.lower,
        str.swapcase,
        " {}".format,
        "{}\n".format,
        "{}\0".format,
        "\N{FULLWIDTH LATIN CAPITAL LETTER N}{}".format,
    ],
)
def test_another_spelling_is_another_key(change: object) -> None:
    assert callable(change)
    assert not is_well_formed(change(make_key()))


@settings(max_examples=50)
@given(st.text(max_size=70))
def test_any_other_text_is_no_key(text: str) -> None:
    assert not is_well_formed(text)
    assert not is_well_formed("nj_live_" + text)


def test_a_digest_is_32_bytes_that_depend_on_key_and_secret() -> None:
    one, other = make_key(), make_key()

    digests = {Vault([secret]).digest(key) for secret in (OLD, NEW) for key in (one, other)}

    assert len(digests) == 4
    assert {len(digest) for digest in digests} == {32}
    assert Vault([OLD]).digest(one) == Vault([OLD]).digest(one)


def test_a_key_of_before_a_rotation_is_found_under_the_old_secret() -> None:
    key = make_key()
    stored = Vault([OLD]).digest(key)

    rotated = Vault([NEW, OLD])

    assert stored in rotated.digests(key)
    assert rotated.digest(key) == Vault([NEW]).digest(key)
    assert rotated.digests(key) == [Vault([NEW]).digest(key), stored]
    assert stored not in Vault([NEW]).digests(key)


def test_a_sealed_key_can_be_shown_again() -> None:
    key = make_key()
    vault = Vault([NEW])

    sealed = vault.seal(key)

    assert key.encode() not in sealed
    assert vault.open(sealed) == key
    assert vault.seal(key) != sealed


def test_a_seal_of_before_a_rotation_opens_while_the_old_secret_is_there() -> None:
    key = make_key()
    sealed = Vault([OLD]).seal(key)

    assert Vault([NEW, OLD]).open(sealed) == key
    assert Vault([NEW]).open(sealed) is None


def test_the_first_secret_seals() -> None:
    sealed = Vault([NEW, OLD]).seal("x")

    assert Vault([NEW]).open(sealed) == "x"
    assert Vault([OLD]).open(sealed) is None


def test_what_was_sealed_elsewhere_or_changed_does_not_open() -> None:
    vault = Vault([NEW, OLD])
    sealed = vault.seal(make_key())

    assert vault.open(Vault([OTHER]).seal("x")) is None
    assert vault.open(sealed[:-2]) is None
    assert vault.open(b"") is None
    assert vault.open(b"\xff" * 40) is None
