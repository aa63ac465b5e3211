import pytest

from aibridged.identity.admitted import FOR_EVER, Admitted
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
def admitted(clock):
    return Admitted(clock, grace=60)


def enter(admitted, actor, token="secret"):
    stream = Stream()
    admitted.enter(actor, token, stream)
    return stream


def test_what_runs_is_to_be_checked_until_it_has_ended(admitted):
    first, second, other = (enter(admitted, actor) for actor in (ANN, ANN, BOB))
    assert admitted.to_check() == {"token-1": "secret", "token-2": "secret"}
    admitted.leave(first)
    admitted.leave(other)
    assert admitted.to_check() == {"token-1": "secret"}
    admitted.leave(second)
    admitted.leave(second)
    assert admitted.to_check() == {}


def test_where_no_token_is_there_is_nothing_to_revoke(admitted):
    stream = enter(admitted, LOCAL_ACTOR, None)
    assert admitted.to_check() == {}
    admitted.leave(stream)


def test_what_a_worthless_token_has_let_in_goes_on_for_the_grace(admitted, clock, log):
    streams, other = [enter(admitted, ANN), enter(admitted, ANN)], enter(admitted, BOB)
    for seconds in (0, 30, 29.9):
        clock.advance(seconds)
        admitted.judge({"token-1", "token-2"}, {"token-2"})
        admitted.end_overdue()
    assert [each.aborted for each in streams] == [0, 0]
    assert log == []
    clock.advance(0.1)
    admitted.end_overdue()
    admitted.end_overdue()
    assert [each.aborted for each in streams] == [1, 1]
    assert other.aborted == 0
    assert len(log) == 1
    assert log[0].startswith(
        "WARNING: The token token-1 of ann is no longer valid: cutting off 2 running"
    )
    assert "secret" not in log[0]
    for stream in streams:
        admitted.leave(stream)
    assert admitted.to_check() == {"token-2": "secret"}


def test_without_a_grace_it_ends_at_once(admitted):
    admitted.grace = 0
    stream = enter(admitted, ANN)
    admitted.judge({"token-1"}, set())
    admitted.end_overdue()
    assert stream.aborted == 1


def test_for_ever_nothing_is_asked_about_and_nothing_ends(clock):
    admitted = Admitted(clock)
    assert admitted.grace == FOR_EVER
    stream = enter(admitted, ANN)
    assert admitted.to_check() == {}
    admitted.judge({"token-1"}, set())
    clock.advance(1e9)
    admitted.end_overdue()
    assert stream.aborted == 0


def test_a_user_who_is_resumed_in_time_keeps_what_runs(admitted, clock):
    stream = enter(admitted, ANN)
    admitted.judge({"token-1"}, set())
    clock.advance(50)
    admitted.judge({"token-1"}, {"token-1"})
    clock.advance(50)
    admitted.end_overdue()
    assert stream.aborted == 0
    admitted.judge({"token-1"}, set())
    clock.advance(50)
    admitted.end_overdue()
    assert stream.aborted == 0
    clock.advance(10)
    admitted.end_overdue()
    assert stream.aborted == 1


def test_an_answer_about_what_has_ended_meanwhile_says_nothing(admitted):
    admitted.leave(enter(admitted, ANN))
    admitted.judge({"token-1"}, set())
    admitted.end_overdue()
    assert admitted.to_check() == {}


def test_a_shorter_grace_counts_for_what_runs(admitted, clock):
    stream = enter(admitted, ANN)
    admitted.judge({"token-1"}, set())
    clock.advance(10)
    admitted.grace = 5
    admitted.end_overdue()
    assert stream.aborted == 1
