"""The part of the table of metrics about the telemetry of agents."""

from aibridged.observe.metric import Kind, Metric

TELEMETRY_RELAYED = Metric(
    "aibridged_telemetry_relayed_total",
    Kind.COUNTER,
    "Batches of agents' telemetry that a destination has taken, by signal: metrics, logs or "
    "traces.",
    ("destination", "signal"),
)
TELEMETRY_DROPPED = Metric(
    "aibridged_telemetry_dropped_total",
    Kind.COUNTER,
    "Batches of agents' telemetry that a destination didn't get, by reason: queue_full, refused, "
    "unavailable (for a minute) or shutdown.",
    ("destination", "reason"),
)

TELEMETRY = (TELEMETRY_RELAYED, TELEMETRY_DROPPED)
