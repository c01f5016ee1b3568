"""Base64 as people write it: plain, safe for addresses, in lines, or as a data URL."""

import base64

import pytest

from nijika.proxy.embedded import decoded

PICTURE = bytes(range(256)) + b"\xff\xfe"
PLAIN = base64.b64encode(PICTURE).decode()
SAFE = base64.urlsafe_b64encode(PICTURE).decode()


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        SAFE,
        SAFE.rstrip("="),
        base64.encodebytes(PICTURE).decode(),
        PLAIN.replace("A", "A\r\n\t "),
        f"data:image/png;base64,{PLAIN}",
        f" DATA:image/jpeg;name=a.jpg;BASE64,{SAFE}\n",
        f"data:;base64,{PLAIN}",
    ],
)
def test_base64_is_read_as_people_write_it(text: str) -> None:
    assert decoded(text) == PICTURE


@pytest.mark.parametrize(
    "text",
    ["***", "QQ=Q", "Q", "caf\xe9", "\ud800", "data:text/plain,QUJD", "data:image/png;base64", "data:,", "QQ==QQ=="],
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (its words are for the log)
        decoded(text)
