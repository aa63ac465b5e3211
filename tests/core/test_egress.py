"""The destinations that are read, and the addresses that are dialled."""

from ipaddress import ip_network

import pytest

from aibridged.core.egress import BadDestinationError, Destination, Egress, read_destination


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("api.anthropic.com:443", "api.anthropic.com", 443),
        ("API.Anthropic.COM:443", "api.anthropic.com", 443),
        ("example.com.:443", "example.com", 443),
        ("xn--bcher-kva.example:8443", "xn--bcher-kva.example", 8443),
        ("_dmarc.example.com:1", "_dmarc.example.com", 1),
        ("localhost:65535", "localhost", 65535),
        ("8.8.8.8:443", "8.8.8.8", 443),
        ("[2606:4700::0001]:443", "2606:4700::1", 443),
        ("[::ffff:8.8.8.8]:443", "::ffff:808:808", 443),
    ],
)
def test_what_is_read(authority, host, port):
    destination = read_destination(authority)
    assert (destination.host, destination.port) == (host, port)
    assert (destination.address is None) == host[-1].isalpha()


@pytest.mark.parametrize(
    "authority",
    [
        "",
        ":443",
        "example.com",
        "example.com:",
        "example.com:0",
        "example.com:65536",
        "example.com:443443",
        "example.com:+443",
        "example.com:٤٤٣",
        "user@example.com:443",
        "user:secret@example.com:443",
        "http://example.com:443",
        "example.com:443/path",
        "example.com:443\n",
        "exa mple.com:443",
        "exa\x00mple.com:443",
        "%65xample.com:443",
        "bücher.example:443",
        ".example.com:443",
        "example..com:443",
        "example.com..:443",
        "-example.com:443",
        f"{'a' * 64}.com:443",
        f"{'a.' * 127}com:443",
        "::1:443",
        "2606:4700::1:443",
        "[::1:443",
        "[]:443",
        "[fe80::1%eth0]:443",
        "[1.2.3.4]:443",
        # Numbers that resolvers understand as addresses.
        "2130706433:443",
        "127.1:443",
        "127.0.1:443",
        "0177.0.0.1:443",
        "127.0.0.01:443",
        "0x7f.0.0.1:443",
        "0x7f000001:443",
        "127.0.0.0x1:443",
        "1.2.3.4.5:443",
        "256.0.0.1:443",
        "example.1:443",
        "example.0x1:443",
    ],
)
def test_what_is_no_destination(authority):
    with pytest.raises(BadDestinationError) as caught:
        read_destination(authority)
    assert "secret" not in str(caught.value)


def test_a_destination_is_written_as_it_is_read():
    assert str(Destination("example.com", 443)) == "example.com:443"
    assert str(read_destination("[2606:4700::1]:443")) == "[2606:4700::1]:443"


PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.15",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.169.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address):
    assert Egress().permits(address)


@pytest.mark.parametrize("address", REFUSED)
def test_all_others_are_refused(address):
    assert not Egress().permits(address)


@pytest.mark.parametrize(
    ("allowed", "address", "permitted"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "64:ff9b::a01:203", True),
        ("10.0.0.0/8", "192.168.0.1", False),
        ("10.0.0.0/8", "8.8.8.8", True),
        ("127.0.0.1/32", "127.0.0.2", False),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "fe80::1", False),
        ("2002::/16", "2002:7f00:1::1", True),
    ],
)
def test_exceptions_are_exactly_those_networks(allowed, address, permitted):
    assert Egress([ip_network(allowed)]).permits(address) is permitted
