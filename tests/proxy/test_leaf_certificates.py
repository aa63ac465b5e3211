"""The contexts that are kept, by host and by age."""

import ssl

import pytest

from aibridged.proxy.authority import LEAF_LIFETIME, AuthorityError
from aibridged.proxy.leaf_certificates import MAX_HOSTS, Leaves

DAY = 24 * 3600.0


@pytest.fixture
def leaves(authority, clock) -> Leaves:
    return Leaves(authority, clock)


def test_a_context_is_made_once_a_host(leaves):
    first = leaves.context("a.example")
    assert leaves.context("a.example") is first
    assert leaves.context("b.example") is not first


def test_it_is_renewed_in_the_last_third_of_its_life(leaves, clock):
    first = leaves.context("a.example")
    clock.advance(LEAF_LIFETIME.total_seconds() * 2 / 3 - 1)
    assert leaves.context("a.example") is first
    clock.advance(1)
    second = leaves.context("a.example")
    assert second is not first
    assert leaves.context("a.example") is second


def test_near_the_end_of_the_ca_it_is_not_made_anew_for_each_connection(leaves, authority, clock):
    clock.advance((authority.not_after - clock.wall()).total_seconds() - DAY)
    assert leaves.context("a.example") is leaves.context("a.example")
    clock.advance(DAY)
    with pytest.raises(AuthorityError, match="expired"):
        leaves.context("a.example")


def test_however_many_hosts_there_are_only_the_last_are_kept(leaves):
    first = leaves.context("0.example")
    for number in range(1, MAX_HOSTS):
        leaves.context(f"{number}.example")
    assert leaves.context("0.example") is first
    leaves.context("new.example")
    assert leaves.context("0.example") is first
    second = leaves.context("1.example")
    assert leaves.context("1.example") is second


def test_tls_is_modern(leaves):
    assert leaves.context("a.example").minimum_version == ssl.TLSVersion.TLSv1_2


def handshake(context: ssl.SSLContext, name: str | None) -> str | None:
    """Shake hands in memory as a client that offers HTTP/2 first; what was agreed on."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    client_context.set_alpn_protocols(["h2", "http/1.1"])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.selected_alpn_protocol()


@pytest.mark.parametrize("name", ["a.example", "A.Example", "a.example.", None])
def test_who_names_that_host_or_none_shakes_hands(leaves, name):
    assert handshake(leaves.context("a.example"), name) == "http/1.1"


@pytest.mark.parametrize("name", ["b.example", "x.a.example", "example"])
def test_who_names_another_host_is_refused(leaves, name):
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name|callback failed"):
        handshake(leaves.context("a.example"), name)
