"""An attempt to reach the database holds nobody up, and leaves nothing behind."""

import threading

import pytest

from aibridged.records.reconnection import Attempt
from aibridged.records.store import DatabaseAwayError


class Door:
    """Stands in for a store: its database answers when the test says so."""

    def __init__(self, error=None):
        self.answers = threading.Event()
        self.closed = threading.Event()
        self._error = error

    def connect(self):
        assert self.answers.wait(10)
        if self._error is not None:
            raise self._error

    def close(self):
        self.closed.set()


@pytest.mark.parametrize("error", [None, DatabaseAwayError("gone")])
def test_it_tells_how_it_ended(error):
    door, ended = Door(error), threading.Event()
    attempt = Attempt(door, ended.set)
    assert not attempt.is_over
    door.answers.set()
    assert ended.wait(10)
    assert (attempt.is_over, attempt.succeeded) == (True, error is None)
    assert not door.closed.is_set()


def test_an_abandoned_one_keeps_no_connection():
    door, ended = Door(), threading.Event()
    Attempt(door, ended.set).abandon()
    door.answers.set()
    assert ended.wait(10)
    assert door.closed.is_set()
