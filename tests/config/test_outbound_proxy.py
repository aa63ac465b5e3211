"""Which way a request leaves, by the proxies and by what NO_PROXY lists."""

import pytest

from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.config.proxy_url import read_proxy_url
from aibridged.config.proxy_variables import read_exceptions

SECURE = read_proxy_url("http://secure.proxy:1")
PLAIN = read_proxy_url("http://plain.proxy:2")


def test_the_scheme_of_the_url_decides():
    proxies = OutboundProxies(SECURE, PLAIN)
    assert proxies.for_url("https://a.example/v1") is SECURE
    assert proxies.for_url("http://a.example/v1") is PLAIN
    assert OutboundProxies(https=SECURE).for_url("http://a.example") is None
    assert OutboundProxies().for_url("https://a.example") is None


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.9", "https://[::1]:3/x", "https://127.0.0.1"]
)
def test_what_is_on_this_machine_is_asked_directly(url):
    assert OutboundProxies(SECURE, PLAIN).for_url(url) is None


DIRECT = [
    ("*", "https://a.example"),
    ("b.example, *", "https://a.example"),
    ("a.example", "https://a.example/v1"),
    ("a.example", "https://A.Example./v1"),
    ("A.EXAMPLE.", "https://a.example/v1"),
    ("a.example", "https://b.a.example"),
    (".a.example", "https://b.a.example"),
    ("*.a.example", "https://c.b.a.example"),
    ("b.example,a.example", "https://a.example"),
    ("b.example a.example", "https://a.example"),
    ("a.example:443", "https://a.example"),
    ("a.example:8443", "https://a.example:8443"),
    ("10.0.0.0/8", "https://10.1.2.3"),
    ("10.1.2.3/8", "https://10.9.9.9"),
    ("10.1.2.3", "https://10.1.2.3:9"),
    ("10.1.2.3:9", "https://10.1.2.3:9"),
    ("fd00::/8", "https://[fd12::1]"),
    ("[fd12::1]", "https://[fd12::1]"),
    ("[fd12::1]:443", "https://[fd12::1]"),
]
PROXIED = [
    ("", "https://a.example"),
    (",,", "https://a.example"),
    ("a.example", "https://ba.example"),
    (".a.example", "https://a.example"),
    ("*.a.example", "https://a.example"),
    ("a.example:443", "https://a.example:8443"),
    ("10.0.0.0/8", "https://11.1.2.3"),
    ("10.0.0.0/8", "https://ten.example"),
    ("10.1.2.3:9", "https://10.1.2.3"),
    ("[", "https://a.example"),
]


@pytest.mark.parametrize(("listed", "url"), DIRECT)
def test_what_no_proxy_lists_is_asked_directly(listed, url):
    assert OutboundProxies(SECURE, PLAIN, read_exceptions(listed)).for_url(url) is None


@pytest.mark.parametrize(("listed", "url"), PROXIED)
def test_everything_else_is_not(listed, url):
    assert OutboundProxies(SECURE, PLAIN, read_exceptions(listed)).for_url(url) is SECURE
