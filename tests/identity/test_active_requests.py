import pytest

from aibridged.identity.active_requests import UNLIMITED, ActiveRequests
from aibridged.identity.anonymous import LOCAL_ACTOR
from aibridged.identity.base import Actor

ANN = Actor("1", "ann", "token-1")
BOB = Actor("2", "bob", "token-2")


class Stream:
    def __init__(self):
        self.aborted = 0

    def abort(self):
        self.aborted += 1


@pytest.fixture
def active_requests(clock):
    return ActiveRequests(clock, grace=60)


def enter(active_requests, actor, token="secret"):
    stream = Stream()
    active_requests.add(actor, token, stream)
    return stream


def test_what_runs_is_to_be_checked_until_it_has_ended(active_requests):
    first, second, other = (enter(active_requests, actor) for actor in (ANN, ANN, BOB))
    assert active_requests.tokens_to_check() == {"token-1": "secret", "token-2": "secret"}
    active_requests.remove(first)
    active_requests.remove(other)
    assert active_requests.tokens_to_check() == {"token-1": "secret"}
    active_requests.remove(second)
    active_requests.remove(second)
    assert active_requests.tokens_to_check() == {}


def test_where_no_token_is_there_is_nothing_to_revoke(active_requests):
    stream = enter(active_requests, LOCAL_ACTOR, None)
    assert active_requests.tokens_to_check() == {}
    active_requests.remove(stream)


def test_what_a_worthless_token_has_let_in_goes_on_for_the_grace(active_requests, clock, log):
    streams, other = (
        [enter(active_requests, ANN), enter(active_requests, ANN)],
        enter(active_requests, BOB),
    )
    for seconds in (0, 30, 29.9):
        clock.advance(seconds)
        active_requests.record_validity({"token-1", "token-2"}, {"token-2"})
        active_requests.abort_overdue()
    assert [each.aborted for each in streams] == [0, 0]
    assert log == []
    clock.advance(0.1)
    active_requests.abort_overdue()
    active_requests.abort_overdue()
    assert [each.aborted for each in streams] == [1, 1]
    assert other.aborted == 0
    assert len(log) == 1
    assert log[0].startswith(
        "WARNING: The token token-1 of ann is no longer valid: cutting off 2 running"
    )
    assert "secret" not in log[0]
    for stream in streams:
        active_requests.remove(stream)
    assert active_requests.tokens_to_check() == {"token-2": "secret"}


def test_without_a_grace_it_ends_at_once(active_requests):
    active_requests.grace = 0
    stream = enter(active_requests, ANN)
    active_requests.record_validity({"token-1"}, set())
    active_requests.abort_overdue()
    assert stream.aborted == 1


def test_for_ever_nothing_is_asked_about_and_nothing_ends(clock):
    active_requests = ActiveRequests(clock)
    assert active_requests.grace == UNLIMITED
    stream = enter(active_requests, ANN)
    assert active_requests.tokens_to_check() == {}
    active_requests.record_validity({"token-1"}, set())
    clock.advance(1e9)
    active_requests.abort_overdue()
    assert stream.aborted == 0


def test_a_user_who_is_resumed_in_time_keeps_what_runs(active_requests, clock):
    stream = enter(active_requests, ANN)
    active_requests.record_validity({"token-1"}, set())
    clock.advance(50)
    active_requests.record_validity({"token-1"}, {"token-1"})
    clock.advance(50)
    active_requests.abort_overdue()
    assert stream.aborted == 0
    active_requests.record_validity({"token-1"}, set())
    clock.advance(50)
    active_requests.abort_overdue()
    assert stream.aborted == 0
    clock.advance(10)
    active_requests.abort_overdue()
    assert stream.aborted == 1


def test_an_answer_about_what_has_ended_meanwhile_says_nothing(active_requests):
    active_requests.remove(enter(active_requests, ANN))
    active_requests.record_validity({"token-1"}, set())
    active_requests.abort_overdue()
    assert active_requests.tokens_to_check() == {}


def test_a_shorter_grace_counts_for_what_runs(active_requests, clock):
    stream = enter(active_requests, ANN)
    active_requests.record_validity({"token-1"}, set())
    clock.advance(10)
    active_requests.grace = 5
    active_requests.abort_overdue()
    assert stream.aborted == 1
