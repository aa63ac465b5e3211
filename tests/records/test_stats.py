"""What the recorder counts."""

from aibridged.records.stats import RecorderStats


def test_commits_add_up():
    stats = RecorderStats()
    for records, seconds in ((5, 0.25), (2, 0.5)):
        stats.committed(records, seconds)
    assert (stats.commits, stats.records) == (2, 7)
    assert (stats.last_batch, stats.largest_batch) == (2, 5)
    assert (stats.last_commit_seconds, stats.commit_seconds) == (0.5, 0.75)
