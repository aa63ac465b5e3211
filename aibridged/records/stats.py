"""Counters of the recorder, for the metrics."""

from dataclasses import dataclass, field

from aibridged.observe import metric_table as table
from aibridged.observe.series import HistogramSeries


@dataclass(slots=True)
class RecorderStats:
    """Counters and last values; the writer's thread writes them, anyone reads them.

    `records_lost` counts what is recorded nowhere: rows that the database refuses for their
    values, lines of the spool that can't be read, and what neither the database nor the spool
    took until the end. Seconds are of the monotonic clock.
    """

    starts_refused: int = 0
    records_spooled: int = 0
    records_replayed: int = 0
    records_lost: int = 0
    spool_bytes: int = 0
    database_away: bool = False
    start_waits: HistogramSeries = field(
        default_factory=lambda: HistogramSeries(table.RECORDER_WAIT)
    )
    commit_times: HistogramSeries = field(
        default_factory=lambda: HistogramSeries(table.RECORDER_COMMIT)
    )
    batches: HistogramSeries = field(default_factory=lambda: HistogramSeries(table.RECORDER_BATCH))

    def committed(self, records: int, seconds: float) -> None:
        """Count a transaction with that many records."""
        self.commit_times.observe((), seconds)
        self.batches.observe((), records)
