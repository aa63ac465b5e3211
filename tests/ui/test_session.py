"""Sessions end when they have to, and nobody makes or changes one."""

import pytest

from aibridged.core.expiring import Expiring
from aibridged.ui.session import IDLE_S, Sessions

KEY = bytes(range(32))
ABSOLUTE_S = 10 * IDLE_S


@pytest.fixture
def sessions(clock):
    return Sessions(KEY, clock, ABSOLUTE_S, Expiring(100, clock), is_secure=True)


def test_a_session_comes_back_with_its_cookie(sessions):
    session = sessions.begin(token="aib_x")
    value = sessions.sealed(session)
    assert sessions.cookie_name.startswith("__Host-")
    assert "aib_x" not in value
    assert sessions.open({sessions.cookie_name: value}) == session
    assert "aib_x" not in repr(session)


def test_it_ends_idle_and_at_the_latest_in_the_end(sessions, clock):
    session = sessions.begin()
    first = sessions.sealed(session)
    clock.advance(IDLE_S + 1)
    assert sessions.open({sessions.cookie_name: first}) is None
    session = sessions.begin()
    value = sessions.sealed(session)
    for _ in range(11):
        clock.advance(IDLE_S - 10)
        found = sessions.open({sessions.cookie_name: value})
        if found is None:
            break
        value = sessions.continued(found)
    assert found is None
    assert clock.wall().timestamp() - session.began > ABSOLUTE_S


def test_nobody_makes_or_changes_one(sessions, clock):
    value = sessions.sealed(sessions.begin())
    others = Sessions(bytes(32), clock, ABSOLUTE_S, Expiring(100, clock), is_secure=True)
    name = sessions.cookie_name
    assert others.open({name: value}) is None
    for broken in ("", "x", value[:-4], value[:20] + "A" + value[21:], "x" * 5000, "ü"):
        assert sessions.open({name: broken}) is None


def test_what_was_signed_out_is_over_whoever_has_a_copy(sessions):
    session = sessions.begin()
    value = sessions.sealed(session)
    sessions.end(session)
    assert sessions.open({sessions.cookie_name: value}) is None


def test_forms_are_the_sessions_own(sessions):
    one, other = sessions.begin(), sessions.begin()
    assert sessions.is_csrf(one, sessions.csrf(one))
    assert not sessions.is_csrf(one, sessions.csrf(other))
    assert not sessions.is_csrf(one, "ü")
