"""Who can reach the web page, and what its visitors meet there."""

from collections.abc import Callable, Mapping

import pytest

from aibridged.config.resolution import Resolution
from tests.tls_files import CERT, KEY

Resolve = Callable[[Mapping[str, str]], Resolution]

OWN = "--aibridge-ui-address"
PROXIED = {"--proxy-trusted-origins": "10.0.0.0/8", "--proxy-trusted-headers": "X-Forwarded-For"}


def told(resolve: Resolve, flags: dict[str, str]) -> list[str]:
    return [line for line in resolve(flags).warnings if "web page" in line or OWN in line]


def test_without_authentication_it_is_for_this_machine(resolve: Resolve) -> None:
    flags = {"--aibridge-auth": "none", OWN: ":4002"}
    [mistake] = resolve(flags).mistakes
    assert (mistake.where, "reachable from other machines" in mistake.what) == (OWN, True)
    assert resolve({**flags, OWN: "127.0.0.1:4002"}).mistakes == []
    assert resolve({**flags, "--aibridge-ui-enabled": "false"}).mistakes == []


def test_in_the_clear_it_is_warned_of(resolve: Resolve) -> None:
    for flags in (
        {OWN: ":4002"},
        {"--http-address": ":4001", "--aibridge-ui-enabled": "true", **PROXIED},
    ):
        [line] = told(resolve, flags)
        assert "served without TLS" in line
        assert told(resolve, {**flags, "--access-url": "https://ai.example"}) == []
        [line] = told(resolve, {**flags, "--access-url": "http://ai.example"})
        assert "by plain HTTP" in line


def test_with_tls_it_should_know_its_url(resolve: Resolve) -> None:
    tls = {"--tls-cert-file": str(CERT), "--tls-key-file": str(KEY)}
    [line] = told(resolve, {OWN: ":4002", **tls})
    assert "doesn't know its own URL" in line


@pytest.mark.parametrize(
    "flags", [{OWN: "127.0.0.1:4002"}, {"--aibridge-ui-enabled": "true"}, {}, PROXIED]
)
def test_on_loopback_nothing_is_amiss(resolve: Resolve, flags: dict[str, str]) -> None:
    assert told(resolve, flags) == []


def test_an_address_of_what_is_off(resolve: Resolve) -> None:
    [line] = told(resolve, {OWN: ":4002", "--aibridge-ui-enabled": "false"})
    assert "no effect" in line


def test_two_listeners_on_one_port(resolve: Resolve) -> None:
    [mistake] = resolve({OWN: "127.0.0.1:4001"}).mistakes
    assert mistake.where == f"--http-address and {OWN}"
    off = {OWN: "127.0.0.1:4001", "--aibridge-ui-enabled": "false"}
    assert resolve(off).mistakes == []
