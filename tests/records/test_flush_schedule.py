"""What is due when, by a clock that is an argument."""

from aibridged.records.flush_schedule import CHECKPOINT_S, FLUSH_S, DiskSchedule


def test_without_a_commit_nothing_is_due():
    disk = DiskSchedule()
    assert disk.seconds_left(0) is None
    assert not disk.flush_is_due(1e9)
    assert not disk.checkpoint_is_due(1e9)


def test_commits_are_flushed_soon_and_once():
    disk = DiskSchedule()
    assert disk.committed(10)
    assert not disk.committed(10.1), "it is due already"
    assert disk.seconds_left(10 + FLUSH_S / 2) == FLUSH_S / 2
    assert not disk.flush_is_due(10 + FLUSH_S - 0.01)
    assert disk.flush_is_due(10 + FLUSH_S)
    assert not disk.flush_is_due(10 + FLUSH_S)
    assert disk.committed(11), "due anew"


def test_checkpoints_are_rare_and_flush_too():
    disk = DiskSchedule()
    disk.committed(10)
    disk.flush_is_due(10 + FLUSH_S)
    assert disk.seconds_left(11) == CHECKPOINT_S - 1
    disk.committed(12)
    assert not disk.checkpoint_is_due(10 + CHECKPOINT_S - 0.01)
    assert disk.checkpoint_is_due(10 + CHECKPOINT_S)
    assert not disk.checkpoint_is_due(10 + CHECKPOINT_S)
    assert disk.seconds_left(20) is None


def test_what_is_overdue_leaves_no_time():
    disk = DiskSchedule()
    disk.committed(10)
    assert disk.seconds_left(99) == 0
