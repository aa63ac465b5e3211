"""The URL of a proxy, and that its password doesn't show."""

import pytest

from aibridged.config.proxy_url import read_proxy_url


@pytest.mark.parametrize(
    ("text", "shown", "authorization"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("http://proxy.example", "http://proxy.example:80", None),
        ("https://proxy.example/", "https://proxy.example:443", None),
        ("HTTP://[::1]:3128", "http://[::1]:3128", None),
        ("http://user:pa%3ass@proxy:1", "http://****@proxy:1", "Basic dXNlcjpwYTpzcw=="),
        ("https://user@proxy:1", "https://****@proxy:1", "Basic dXNlcjo="),
    ],
)
def test_what_is_read(text, shown, authorization):
    url = read_proxy_url(text)
    assert str(url) == shown
    revealed = url.authorization.reveal() if url.authorization else None
    assert revealed == authorization
    assert "dXNlc" not in repr(url) + str(url)


def test_nothing_is_none():
    assert read_proxy_url("") is None


@pytest.mark.parametrize(
    "text",
    [
        "proxy:3128",
        "socks5://proxy:1080",
        "http://",
        "http://proxy:port",
        "http://proxy:99999",
        "http://secret@proxy:1/path",
        "http://secret@proxy:1?query",
        "http://user:sec ret@proxy:1",
        "http://[::1:3128",
    ],
)
def test_what_is_no_proxy(text):
    with pytest.raises(ValueError, match=r"^(is not|has no|contains)") as caught:
        read_proxy_url(text)
    assert "secret" not in str(caught.value)
