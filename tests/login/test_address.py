"""What a person types for a gateway's address."""

import pytest

from aibridged.login.address import normalised, origin
from aibridged.login.failure import LoginError


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gateway.example.com", "https://gateway.example.com"),
        (" https://Gateway.Example.com/ ", "https://gateway.example.com"),
        ("https://gateway.example.com:443", "https://gateway.example.com"),
        ("https://gateway.example.com:8443//", "https://gateway.example.com:8443"),
        ("https://example.com/ai/", "https://example.com/ai"),
        ("http://127.0.0.1:4001", "http://127.0.0.1:4001"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:4001/", "http://[::1]:4001"),
    ],
)
def test_it_has_one_form(typed, meant):
    assert normalised(typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "https://",
        "ftp://gateway.example.com",
        "https://gateway.example.com:port",
        "https://gateway.example.com:99999",
        "https://gate way.example.com",
        "https://gateway.example.com/\x1b[31m",
        "https://gateway.example.com/$(id)'",
        "https://bücher.example",
        "https://[::1",
        "https://ann:pass@gateway.example.com",
        "https://gateway.example.com/?next=1",
        "https://gateway.example.com/#top",
        f"https://{'a' * 2000}.example",
    ],
)
def test_what_is_none_is_refused(typed):
    with pytest.raises(LoginError):
        normalised(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "http://gateway.example.com",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "http://[::2]",
    ],
)
def test_plain_http_is_for_loopback_alone(typed):
    with pytest.raises(LoginError, match="unencrypted"):
        normalised(typed)


def test_an_origin_is_scheme_host_and_port():
    assert origin("https://A.example/x") == ("https", "a.example", 443)
    assert origin("http://a.example:443") != origin("https://a.example")
