"""The part of the table of metrics that shows what is limited, and how far it is from that."""

from aibridged.observe.metric import Kind, Metric

SLOTS_IN_USE = Metric(
    "aibridged_slots_in_use", Kind.GAUGE, "Requests that hold one of the slots that limit them."
)
SLOTS_LIMIT = Metric(
    "aibridged_slots_limit",
    Kind.GAUGE,
    "How many slots there are (--aibridge-max-concurrency); 0 is no limit.",
)
CLIENT_CONNECTIONS = Metric(
    "aibridged_client_connections",
    Kind.GAUGE,
    "Connections of clients, by their state: busy or idle.",
    ("state",),
)
CLIENT_PLACES = Metric(
    "aibridged_client_places",
    Kind.GAUGE,
    "Connections of clients that there are file descriptors for, with one to a provider for each.",
)
IDLE_CLOSED = Metric(
    "aibridged_idle_connections_closed_total",
    Kind.COUNTER,
    "Idle connections of clients that were closed, since there were too many.",
)
SHORTAGES = Metric(
    "aibridged_descriptor_shortages_total",
    Kind.COUNTER,
    "How often there was no file descriptor, port or buffer left for clients, or for providers.",
    ("for",),
)
RATE_LIMITER_CALLERS = Metric(
    "aibridged_rate_limiter_callers",
    Kind.GAUGE,
    "Callers that the rate limiter remembers.",
)

LIMITS = (
    SLOTS_IN_USE,
    SLOTS_LIMIT,
    CLIENT_CONNECTIONS,
    CLIENT_PLACES,
    IDLE_CLOSED,
    SHORTAGES,
    RATE_LIMITER_CALLERS,
)
