"""The part of the table of metrics about the record: queue, commits, spool and journal."""

from aibridged.observe.metric import Across, Kind, Metric

RECORDER_QUEUE = Metric(
    "aibridged_recorder_queue_length",
    Kind.GAUGE,
    "Records queued for writing; requests are refused at 10 000 (backpressure).",
)
_COMMIT_SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
RECORDER_WAIT = Metric(
    "aibridged_recorder_start_wait_seconds",
    Kind.HISTOGRAM,
    "Time that requests waited for their start record to be committed before going upstream.",
    buckets=_COMMIT_SECONDS,
)
RECORDER_COMMIT = Metric(
    "aibridged_recorder_commit_seconds",
    Kind.HISTOGRAM,
    "Duration of database commits.",
    buckets=_COMMIT_SECONDS,
)
RECORDER_BATCH = Metric(
    "aibridged_recorder_batch_records",
    Kind.HISTOGRAM,
    "Number of records per commit (group commit).",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
STARTS_REFUSED = Metric(
    "aibridged_recorder_starts_refused_total",
    Kind.COUNTER,
    "Requests refused because their start could not be recorded (fail closed).",
)
RECORDS_SPOOLED = Metric(
    "aibridged_records_spooled_total",
    Kind.COUNTER,
    "Records written to the spool while the database was unavailable.",
)
RECORDS_REPLAYED = Metric(
    "aibridged_records_replayed_total",
    Kind.COUNTER,
    "Records replayed from the spool, and after a crash from the journal.",
)
RECORDS_UNJOURNALED = Metric(
    "aibridged_records_unjournaled_total",
    Kind.COUNTER,
    "Records that were in memory only until their commit, since the journal had no room.",
)
RECORDS_LOST = Metric(
    "aibridged_records_lost_total",
    Kind.COUNTER,
    "Lost records; the log says why.",
)
FINGERPRINTS = Metric(
    "aibridged_prompt_fingerprints_total",
    Kind.COUNTER,
    "Requests by what became of their fingerprints: stored, dropped since too much waited or the"
    " database was unavailable, or unreadable.",
    ("outcome",),
)
SPOOL_SIZE = Metric("aibridged_spool_size_bytes", Kind.GAUGE, "Size of the spool.")
DATABASE_UP = Metric(
    "aibridged_database_up",
    Kind.GAUGE,
    "1 while the database accepts records, 0 while it is unavailable.",
    across=Across.MIN,
)

RECORDS = (
    RECORDER_QUEUE,
    RECORDER_WAIT,
    RECORDER_COMMIT,
    RECORDER_BATCH,
    STARTS_REFUSED,
    RECORDS_SPOOLED,
    RECORDS_REPLAYED,
    RECORDS_UNJOURNALED,
    RECORDS_LOST,
    FINGERPRINTS,
    SPOOL_SIZE,
    DATABASE_UP,
)
