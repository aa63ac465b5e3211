"""Pauses between a process's end and its successor's start."""

from aibridged.daemon.workers.backoff import MOST_S, STEADY_S, Backoff


def test_the_first_end_has_no_pause_and_the_others_double() -> None:
    backoff = Backoff()
    assert [backoff.pause(1.0) for _ in range(8)] == [0, 1, 2, 4, 8, 16, MOST_S, MOST_S]
    assert backoff.ends == 8


def test_who_ran_steadily_begins_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.pause(0.1)
    assert backoff.pause(STEADY_S) == 0
    assert backoff.ends == 1
