"""The token in a proxy's credentials."""

import base64

import pytest
from multidict import CIMultiDict

from aibridged.core.auth import MalformedCredentialsError
from aibridged.core.proxy_auth import read_proxy_token


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode("utf-8")).decode()


def token(*values: str) -> str | None:
    return read_proxy_token(CIMultiDict([("Proxy-Authorization", value) for value in values]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (basic("coder:aib_1_x"), "aib_1_x"),
        (basic(":aib_1_x"), "aib_1_x"),
        (basic("üser:aib_1_x"), "aib_1_x"),
        (basic("coder:a:b:c"), "a:b:c"),
        (basic("coder:aib_1_x").replace("Basic", "bASIC"), "aib_1_x"),
        (basic("coder:aib_1_x").replace("Basic", "Basic  "), "aib_1_x"),
    ],
)
def test_the_password_is_the_token(value, expected):
    assert token(value) == expected


def test_without_the_header_there_is_none():
    assert token() is None


@pytest.mark.parametrize(
    "values",
    [
        ("",),
        ("Basic",),
        ("Basic ",),
        (basic(""),),
        (basic("aib_1_x"),),
        (basic("coder:"),),
        (basic("coder:two words"),),
        (basic("coder:line\nbreak"),),
        (basic("coder:naïve"),),
        ("Basic !!!",),
        ("Basic Y29kZXI6YWli=Xw",),
        ("Basic " + base64.b64encode(b"coder:\xff").decode(),),
        ("Basic ünicode",),
        ("Bearer aib_1_x",),
        (basic("coder:a"), basic("coder:a")),
    ],
)
def test_what_holds_no_token(values):
    with pytest.raises(MalformedCredentialsError) as caught:
        token(*values)
    assert "aib_1_x" not in str(caught.value)
