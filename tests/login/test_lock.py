"""One process at a time, and none that waits for a dead one for long."""

import os

from aibridged.login.lock import Lock


def make(tmp_path, clock):
    return Lock(tmp_path / "lock", clock, held_at_most=25)


def age(tmp_path, clock, seconds):
    then = clock.now() - seconds
    os.utime(tmp_path / "lock", (then, then))


def test_one_has_it_until_it_is_given_back(tmp_path, clock):
    first, second = make(tmp_path, clock), make(tmp_path, clock)
    assert first.try_acquire()
    age(tmp_path, clock, 0)
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()


def test_who_waits_gives_up_in_time(tmp_path, clock):
    assert make(tmp_path, clock).try_acquire()
    age(tmp_path, clock, 0)
    assert not make(tmp_path, clock).acquire(5)
    assert 5 <= clock.elapsed < 5.1


def test_who_waits_gets_it_from_a_process_that_was_killed(tmp_path, clock):
    dead = make(tmp_path, clock)
    assert dead.try_acquire()
    age(tmp_path, clock, 20)
    heir = make(tmp_path, clock)
    assert heir.acquire(30)
    assert 5 <= clock.elapsed < 5.2
    # Should it have been asleep, it doesn't take the other's away.
    dead.release()
    assert (tmp_path / "lock").exists()
    heir.release()
    assert not (tmp_path / "lock").exists()


def test_one_from_the_future_counts_for_nothing(tmp_path, clock):
    assert make(tmp_path, clock).try_acquire()
    age(tmp_path, clock, -1000)
    assert make(tmp_path, clock).try_acquire()
