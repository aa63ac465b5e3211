import resource

import pytest

from aibridged.errors import AT_CAPACITY, GatewayError
from aibridged.proxy.tunnel_quota import Places, most_tunnels


def refused(places, caller):
    with pytest.raises(GatewayError) as refusal:
        places.take(caller)
    assert (refusal.value.kind, refusal.value.retry_after) == (AT_CAPACITY, 5)
    return refusal.value.message


def test_one_caller_may_have_half_of_them():
    places = Places(4)
    first, _ = places.take("alice"), places.take("alice")
    assert "open tunnels per user" in refused(places, "alice")
    places.take("bob")
    first()
    places.take("alice")
    assert "open tunnels per user" in refused(places, "alice")


def test_when_all_are_taken_there_is_none_for_anybody():
    places = Places(2)
    places.take("alice")
    bobs = places.take("bob")
    assert "AI Proxy has reached its maximum" in refused(places, "carol")
    bobs()
    places.take("carol")
    assert "AI Proxy has reached its maximum" in refused(places, "bob")


def test_nothing_is_kept_of_callers_that_have_none():
    places = Places(2)
    for number in range(100):
        places.take(str(number))()
        places.take("alice")()
    assert not places._shares._held


@pytest.mark.parametrize(
    ("descriptors", "tunnels"),
    [(1024, 256), (65536, 16384), (1 << 30, 50_000), (resource.RLIM_INFINITY, 50_000)],
)
def test_half_of_the_file_descriptors_are_for_tunnels(monkeypatch, descriptors, tunnels):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert most_tunnels() == tunnels
