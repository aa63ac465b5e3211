"""Addresses and reasons, as they are told."""

import pytest

from aibridged.limits.redis_session import place_of, reason_of


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:canary@h:1/0", "redis://h:1"),
        ("rediss://:canary@[::1]/0?ssl_ca_certs=/x", "rediss://[::1]:6379"),
        ("unix:///run/redis.sock?password=canary", "unix:///run/redis.sock"),
    ],
)
def test_places_have_no_credentials(url, place):
    assert place_of(url) == place


def test_reasons_are_short_and_on_one_line():
    assert reason_of(TimeoutError()) == "it doesn't answer in time"
    assert reason_of(OSError("a\nb")) == "a b"
    assert reason_of(ValueError()) == "ValueError"
    assert len(reason_of(OSError("x" * 1000))) == 200
