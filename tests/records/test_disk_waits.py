"""A commit that waited for the disk is told from one that only got no core."""

import sys
import threading

import pytest

from aibridged.records.disk_waits import ASK_S, SHUN_S, SLOW_S, DiskWaits


@pytest.fixture
def waits():
    return DiskWaits()


def block():
    threading.Event().wait(0.001)


def commit(waits, began, took, *, blocks=True):
    assert waits.begin(began)
    if blocks:
        block()
    waits.end(began, began + took)
    return began + took


def test_after_two_commits_that_were_blocked_for_long_there_is_none_for_a_while(waits):
    now = commit(waits, 100, SLOW_S * 1.1)
    now = commit(waits, now + ASK_S * 0.9, SLOW_S * 1.1)
    assert not waits.begin(now + SHUN_S * 0.9)
    now = commit(waits, now + SHUN_S, SLOW_S * 1.1)
    assert not waits.begin(now), "the disk is still slow"


def test_one_alone_may_have_been_anything(waits):
    now = commit(waits, 100, SLOW_S * 1.1)
    now = commit(waits, now + ASK_S, SLOW_S * 1.1)
    assert waits.begin(now)


def test_one_that_was_blocked_for_a_moment_is_none(waits):
    now = commit(waits, 100, SLOW_S * 1.1)
    now = commit(waits, now, SLOW_S * 0.9)
    assert waits.begin(now)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it of a thread")
def test_one_that_was_only_without_a_core_is_none(waits):
    now = commit(waits, 100, 100)
    block()  # between them
    now = commit(waits, now, 50, blocks=False)
    assert waits.begin(now)
