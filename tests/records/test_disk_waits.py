"""A commit that waited for the disk is told from one that only got no core."""

import sys
import threading

import pytest

from aibridged.records.disk_waits import SHUN_S, SLOW_S, DiskWaits


@pytest.fixture
def waits():
    return DiskWaits()


def block():
    threading.Event().wait(0.001)


def test_after_a_commit_that_was_blocked_for_long_there_is_none_for_a_while(waits):
    assert waits.begin(100)
    block()
    waits.end(100, 100 + SLOW_S * 1.1)
    assert not waits.begin(100 + SLOW_S + SHUN_S * 0.9)
    assert waits.begin(100 + SLOW_S * 1.1 + SHUN_S)


def test_one_that_was_blocked_for_a_moment_is_none(waits):
    assert waits.begin(100)
    block()
    waits.end(100, 100 + SLOW_S * 0.9)
    assert waits.begin(100 + SLOW_S)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it of a thread")
def test_one_that_was_only_without_a_core_is_none(waits):
    block()  # before it
    assert waits.begin(100)
    waits.end(100, 200)
    assert waits.begin(200)
