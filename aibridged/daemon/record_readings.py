"""Metrics of the record: those of a process that serves requests, and of one that writes."""

from collections.abc import Iterator

from aibridged.observe import record_table
from aibridged.observe.metric import Metric
from aibridged.observe.series import Numbers, Reading
from aibridged.records.recording import Recording
from aibridged.records.stats import RecorderStats


def record_readings(recorder: Recording) -> Iterator[Reading]:
    """All of a recorder's."""
    stats = recorder.stats
    yield _number(record_table.RECORDER_QUEUE, recorder.queue_length)
    yield stats.start_waits.read()
    yield _number(record_table.STARTS_REFUSED, stats.starts_refused)
    yield _number(record_table.RECORDS_UNJOURNALED, recorder.unjournaled)
    yield from written_readings(stats)


def written_readings(stats: RecorderStats) -> Iterator[Reading]:
    """Those of a process that writes what others have queued, who count the rest."""
    yield stats.commit_times.read()
    yield stats.batches.read()
    yield _number(record_table.RECORDS_SPOOLED, stats.records_spooled)
    yield _number(record_table.RECORDS_REPLAYED, stats.records_replayed)
    yield _number(record_table.RECORDS_LOST, stats.records_lost)
    yield _number(record_table.SPOOL_SIZE, stats.spool_bytes)
    yield _number(record_table.DATABASE_UP, float(not stats.refuses))


def _number(row: Metric, value: float) -> Numbers:
    return Numbers(row, {(): value})
