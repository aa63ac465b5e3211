"""Counters of the recorder, for the metrics."""

import msgspec

from aibridged.observe import record_table
from aibridged.observe.series import HistogramSeries


class RecorderStats(msgspec.Struct):
    """Counters and last values, written by the writer's thread and read by any.

    `records_lost` counts what is recorded nowhere: rows whose values the database refuses, lines of
    spool and journal that can't be read, and facts that neither the database nor either of them had
    taken at the end, which are `lost_at_end`. `stalled` says that a commit takes too long: starts
    are refused then, as while the database is away. `last_commit_at` is None before the first one.
    Seconds are monotonic.
    """

    starts_refused: int = 0
    records_spooled: int = 0
    records_replayed: int = 0
    records_lost: int = 0
    lost_at_end: int = 0
    spool_bytes: int = 0
    database_away: bool = False
    stalled: bool = False
    last_commit_at: float | None = None
    start_waits: HistogramSeries = msgspec.field(
        default_factory=lambda: HistogramSeries(record_table.RECORDER_WAIT)
    )
    commit_times: HistogramSeries = msgspec.field(
        default_factory=lambda: HistogramSeries(record_table.RECORDER_COMMIT)
    )
    batches: HistogramSeries = msgspec.field(
        default_factory=lambda: HistogramSeries(record_table.RECORDER_BATCH)
    )

    @property
    def refuses(self) -> bool:
        """Whether every start is refused, since it couldn't be recorded."""
        return self.database_away or self.stalled

    def committed(self, records: int, seconds: float, at: float) -> None:
        """Count a transaction of so many records, which took so long until `at`."""
        self.last_commit_at = at
        self.commit_times.observe((), seconds)
        self.batches.observe((), records)
