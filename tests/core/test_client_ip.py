from ipaddress import ip_network

import pytest
from multidict import CIMultiDict

from aibridged.core.client_ip import client_ip, is_trusted, network_name, rate_limit_key

XFF = ("X-Forwarded-For",)
TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def ip(peer, *values, headers=XFF, origins=TRUSTED):
    return client_ip(peer, CIMultiDict([("X-Forwarded-For", v) for v in values]), headers, origins)


@pytest.mark.parametrize(
    ("peer", "values", "expected"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # the peer isn't trusted
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the left one is the caller's
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1, 10.2.3.4"], "198.51.100.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["10.9.9.9"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::5"], "2001:db8::5"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_a_header_counts_only_from_a_trusted_origin(peer, values, expected):
    assert ip(peer, *values) == expected


def test_without_trusted_headers_the_peer_counts():
    assert ip("10.0.0.1", "198.51.100.1", headers=()) == "10.0.0.1"


def test_an_ipv6_network_is_one_caller():
    assert rate_limit_key("2001:db8::1") == rate_limit_key("2001:db8::ffff:2")
    assert rate_limit_key("2001:db8::1") != rate_limit_key("2001:db8:0:1::1")
    assert rate_limit_key("::ffff:192.0.2.1") == rate_limit_key("192.0.2.1")
    assert rate_limit_key("192.0.2.1") != rate_limit_key("192.0.2.2")
    assert rate_limit_key("fe80::1%eth0") == rate_limit_key("fe80::2")
    assert rate_limit_key(None) == b""


@pytest.mark.parametrize(
    ("ip", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1:2", "2001:db8::/64"),
        (None, "unknown"),
    ],
)
def test_a_network_has_a_name_for_people(ip, name):
    assert network_name(rate_limit_key(ip)) == name


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.0.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("fd00::1", True),
        ("203.0.113.9", False),
        ("", False),
        (None, False),
        ("@", False),
    ],
)
def test_whose_headers_are_believed(peer, trusted):
    assert is_trusted(peer, TRUSTED) is trusted
