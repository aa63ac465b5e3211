"""A bearer is renewed in time, once for all who ask, and serves while the gateway is away."""

import os
import threading
from dataclasses import replace

import pytest

from aibridged.login.bearer import fresh
from aibridged.login.clock import SystemClock
from aibridged.login.failure import LoginError, SignedOutError
from aibridged.login.store import Logins
from tests.login.conftest import secret, successor

TOKEN = "/oauth/token"


def test_one_that_lasts_is_given_without_asking(logins, stored, clock, oauth_server):
    stored()
    clock.elapsed = 3600 - 361
    assert fresh(logins, None, clock).access_token == secret(0)
    assert oauth_server.requests == []


def test_one_that_ends_soon_is_renewed_and_stored(logins, stored, clock, oauth_server):
    stored()
    clock.elapsed = 3600 - 359
    login = fresh(logins, None, clock)
    assert (login.access_token, login.refresh_token) == (secret(1), successor(1))
    assert login.expires_at == clock.now() + 3600
    assert logins.load(login.url) == login
    clock.elapsed += 3600 * 5
    assert fresh(logins, None, clock).access_token == secret(2)
    assert oauth_server.refreshes == 2


@pytest.mark.parametrize(
    ("lifetime", "left", "is_due"),
    [(60, 31, False), (60, 29, True), (86_400, 8641, False), (86_400, 8639, True)],
)
def test_how_early_follows_from_how_long_it_lasts(
    logins, stored, clock, oauth_server, lifetime, left, is_due
):
    stored(lifetime=float(lifetime), expires_at=clock.now() + left)
    fresh(logins, None, clock)
    assert bool(oauth_server.requests) is is_due


def test_a_clock_that_was_set_back_makes_it_due(logins, stored, clock, oauth_server):
    stored(expires_at=clock.now() + 86_400)
    assert fresh(logins, None, clock).access_token == secret(1)


def test_twenty_at_once_refresh_once(tmp_path, stored, oauth_server):
    clock = SystemClock()
    stored(expires_at=clock.now() - 1)
    logins = Logins(tmp_path / ".config" / "aibridged", clock)
    got, start = [], threading.Barrier(20)

    def ask():
        start.wait(10)
        got.append(fresh(logins, None, clock).access_token)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert got == [secret(1)] * 20
    assert oauth_server.refreshes == 1
    assert len(oauth_server.forms(TOKEN)) == 1


def held(logins, clock, url):
    """The lock of another process, which has just taken it."""
    lock = logins.lock(url)
    assert lock.try_acquire()
    os.utime(lock._path, (clock.now(), clock.now()))
    return lock


def test_who_has_a_valid_one_does_not_wait_for_the_refresh(logins, stored, clock, oauth_server):
    login = stored()
    clock.elapsed = 3500
    held(logins, clock, login.url)
    assert fresh(logins, None, clock) == login
    assert (oauth_server.requests, clock.slept) == ([], [])


def test_who_has_none_waits_for_the_refresh_of_another(logins, stored, clock, oauth_server):
    login = stored()
    clock.elapsed = 3600
    lock = held(logins, clock, login.url)
    renewed = replace(login, access_token=secret(7), expires_at=clock.now() + 3600)
    sleep = clock.sleep

    def done_meanwhile(seconds):
        sleep(seconds)
        logins.save(renewed)
        lock.release()

    clock.sleep = done_meanwhile
    assert fresh(logins, None, clock) == renewed
    assert oauth_server.requests == []


def test_who_has_none_takes_over_from_a_process_that_was_killed(
    logins, stored, clock, oauth_server
):
    login = stored()
    clock.elapsed = 3600
    held(logins, clock, login.url)
    assert fresh(logins, None, clock).access_token == secret(1)
    # In time for the gateway to take it for the same client's.
    assert clock.elapsed - 3600 < 30


@pytest.mark.parametrize("answer", [(503, {}), (502, b"")])
def test_a_gateway_that_is_away_for_a_moment_is_asked_again(
    logins, stored, clock, oauth_server, answer
):
    stored()
    clock.elapsed = 3600
    oauth_server.next(TOKEN, answer, answer)
    assert fresh(logins, None, clock).access_token == secret(1)
    assert clock.slept == [1, 1]


def test_a_gateway_that_stays_away_is_said_and_nothing_is_lost(logins, stored, clock, oauth_server):
    login = stored()
    clock.elapsed = 3600
    oauth_server.next(TOKEN, *[(503, {})] * 50)
    with pytest.raises(LoginError, match="can't renew"):
        fresh(logins, None, clock)
    assert clock.elapsed - 3600 <= 20
    assert logins.load(login.url) == login
    oauth_server.answers.clear()
    assert fresh(logins, None, clock).access_token == secret(1)


def test_a_valid_one_has_to_do_while_the_gateway_is_away(logins, stored, clock, oauth_server):
    login = stored()
    clock.elapsed = 3500
    oauth_server.next(TOKEN, (503, {}))
    assert fresh(logins, None, clock) == login
    assert clock.slept == []


def test_a_sign_in_that_has_ended_is_forgotten(logins, stored, clock, oauth_server):
    login = stored()
    clock.elapsed = 3500
    oauth_server.next(TOKEN, (401, {"error": "invalid_grant"}))
    with pytest.raises(SignedOutError) as raised:
        fresh(logins, None, clock)
    assert raised.value.mend == f"Sign in again: `aibridged login {login.url}`."
    assert logins.load(login.url) is None
    assert not list(logins._folder.iterdir())


def test_who_was_slower_takes_what_the_other_has_stored(logins, stored, clock, oauth_server):
    login = stored()
    clock.elapsed = 3600
    renewed = replace(
        login,
        access_token=secret(7),
        refresh_token=successor(7),
        expires_at=clock.now() + 3600,
    )
    answers = oauth_server._usual
    oauth_server._usual = lambda *asked: logins.save(renewed) or answers(*asked)
    oauth_server.refreshes = 5  # so that what is presented counts for nothing
    assert fresh(logins, None, clock) == renewed
    assert logins.load(login.url) == renewed


def test_without_a_refresh_token_it_serves_until_it_ends(logins, stored, clock, oauth_server):
    stored(refresh_token=None)
    clock.elapsed = 3599
    assert fresh(logins, None, clock).access_token == secret(0)
    clock.elapsed = 3600
    with pytest.raises(SignedOutError, match="has ended"):
        fresh(logins, None, clock)
    assert oauth_server.requests == []
