"""Cookies: sealed, for one purpose, for a time."""

import pytest

from aibridged.identity.credential_key import CredentialKey
from aibridged.sign_in.cookies import MAX_TRIPS, TRIP_S, Cookies, new_trip


@pytest.fixture
def key(tmp_path):
    key = CredentialKey(tmp_path / "key")
    key.make()
    return key


@pytest.fixture
def cookies(key, clock):
    return Cookies(key, clock, is_secure=True)


@pytest.fixture
def trip(clock):
    return lambda state="s" * 43: new_trip(state, "nonce", "verifier", "BCDF-GHJK", clock)


def sent(*cookies):
    return {cookie.name: cookie.value for cookie in cookies if cookie.value}


def test_a_trip_comes_back_with_its_state_only(cookies, trip, clock):
    (cookie,) = cookies.set_out(trip(), {})
    assert cookie.name.startswith("__Host-")
    assert cookie.max_age == TRIP_S
    assert cookies.trip("s" * 43, sent(cookie)) == trip()
    for other in ("", "s" * 42, "s" * 44, "t" * 43, "é" * 43):
        assert cookies.trip(other, sent(cookie)) is None
    clock.advance(TRIP_S)
    assert cookies.trip("s" * 43, sent(cookie)) is None


def test_nothing_of_it_shows(cookies, trip):
    (cookie,) = cookies.set_out(trip(), {})
    for secret in ("nonce", "verifier", "BCDF"):
        assert secret not in cookie.value
    for secret in ("nonce", "verifier", "sss"):
        assert secret not in repr(trip())
    assert cookie.value not in repr(cookie)


def test_a_cookie_is_for_its_purpose(cookies, trip):
    (out,) = cookies.set_out(trip(), {})
    session = cookies.begin_session("0123456789", 60.0)
    assert cookies.session(sent(session)) == "0123456789"
    assert cookies.session({session.name: out.value}) is None
    assert cookies.trip("s" * 43, {out.name: session.value}) is None


def test_what_was_not_sealed_here_is_nothing(cookies, key, clock, tmp_path):
    session = cookies.begin_session("0123456789", 60.0)
    other = CredentialKey(tmp_path / "other")
    other.make()
    foreign = Cookies(other, clock, is_secure=True).begin_session("0123456789", 60.0)
    changed = session.value[:-6] + "AAAA" + session.value[-2:]
    for value in ("", "x", "é", "=" * 9, changed, foreign.value, "A" * 100_000):
        assert cookies.session({session.name: value}) is None
    assert cookies.session({}) is None


def test_a_browser_has_a_few_trips(cookies, trip):
    jar = {}
    for number in range(MAX_TRIPS + 3):
        for cookie in cookies.set_out(trip(f"{number}" * 43), jar):
            jar[cookie.name] = cookie.value
            if not cookie.value:
                del jar[cookie.name]
    assert len(jar) == MAX_TRIPS
    assert cookies.trip("6" * 43, jar) is not None
    assert cookies.trip("0" * 43, jar) is None


def test_on_loopback_without_tls_names_are_plain(key, clock, trip):
    cookies = Cookies(key, clock, is_secure=False)
    (cookie,) = cookies.set_out(trip(), {})
    assert not cookie.name.startswith("__")
    assert not cookies.end_session().name.startswith("__")
    assert cookies.trip("s" * 43, sent(cookie)) == trip()
    assert (cookies.end_session().value, cookies.end_session().max_age) == ("", 0)
