"""The part of the table of metrics about limits: connections, slots, descriptors."""

from aibridged.observe.metric import Across, Kind, Metric

SLOTS_IN_USE = Metric(
    "aibridged_slots_in_use", Kind.GAUGE, "Concurrency slots in use.", across=Across.MAX
)
SLOTS_LIMIT = Metric(
    "aibridged_slots_limit",
    Kind.GAUGE,
    "Maximum number of concurrency slots (--aibridge-max-concurrency); 0 is unlimited.",
    across=Across.MAX,
)
CLIENT_CONNECTIONS = Metric(
    "aibridged_client_connections",
    Kind.GAUGE,
    "Client connections, by state: busy or idle.",
    ("state",),
)
CLIENT_PLACES = Metric(
    "aibridged_client_places",
    Kind.GAUGE,
    "Maximum number of client connections that fit in the limit of file descriptors, "
    "with an upstream connection for each.",
)
IDLE_CLOSED = Metric(
    "aibridged_idle_connections_closed_total",
    Kind.COUNTER,
    "Idle client connections closed because there were too many.",
)
SHORTAGES = Metric(
    "aibridged_descriptor_shortages_total",
    Kind.COUNTER,
    "Number of times that file descriptors, ports or buffers ran out, for clients or "
    "for providers.",
    ("for",),
)
RATE_LIMITER_CALLERS = Metric(
    "aibridged_rate_limiter_callers",
    Kind.GAUGE,
    "Callers tracked by the rate limiter.",
    across=Across.MAX,
)
REDIS_UP = Metric(
    "aibridged_redis_up",
    Kind.GAUGE,
    "1 while limits are shared with the other replicas by Redis (--aibridge-redis-url), 0 while it "
    "is away and this replica goes on with its share.",
    across=Across.MIN,
)
REDIS_OUTAGES = Metric(
    "aibridged_redis_outages_total",
    Kind.COUNTER,
    "Number of times that Redis went away, counted by each worker: one outage is as many as there "
    "are workers.",
)
REDIS_LOCAL = Metric(
    "aibridged_redis_local_decisions_total",
    Kind.COUNTER,
    "Requests whose limits were decided with this replica's share, as Redis was away.",
)
PERSON_REFUSALS = Metric(
    "aibridged_person_refusals_total",
    Kind.COUNTER,
    "Requests refused for what a person may do, or how much, by the reason in X-Aibridge-Reason "
    "and the person's group: empty for those in none; those in several are counted in each.",
    ("reason", "group"),
)

RUNAWAY_SESSIONS = Metric(
    "aibridged_runaway_sessions_total",
    Kind.COUNTER,
    "Sessions that reached a limit of their policy, by the limit (max_cost, max_requests, "
    "repeated_calls, compactions, tokens_per_minute) and what was done: warn or end.",
    ("limit", "action"),
)

SOFT_BUDGETS = Metric(
    "aibridged_soft_budget_requests_total",
    Kind.COUNTER,
    "Requests of people who are near a spend limit, by what their policy does then: warn or "
    "switch (to a cheaper model).",
    ("action",),
)

LIMITS = (
    SLOTS_IN_USE,
    SLOTS_LIMIT,
    CLIENT_CONNECTIONS,
    CLIENT_PLACES,
    IDLE_CLOSED,
    SHORTAGES,
    RATE_LIMITER_CALLERS,
    REDIS_UP,
    REDIS_OUTAGES,
    REDIS_LOCAL,
    PERSON_REFUSALS,
    RUNAWAY_SESSIONS,
    SOFT_BUDGETS,
)
