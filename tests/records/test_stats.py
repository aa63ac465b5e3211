"""What the recorder counts."""

from aibridged.records.stats import RecorderStats


def test_commits_add_up():
    stats = RecorderStats()
    assert stats.last_commit_at is None
    for records, seconds in ((5, 0.25), (2, 0.5)):
        stats.committed(records, seconds, 100 + seconds)
    assert stats.last_commit_at == 100.5
    for series, total in ((stats.commit_times, 0.75), (stats.batches, 7)):
        [observed] = series.read().values.values()
        assert (sum(observed[:-1]), observed[-1]) == (2, total)
