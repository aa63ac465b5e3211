"""The part of the table of metrics about budgets."""

from aibridged.observe.metric import Kind, Metric

BUDGET_ALERTS = Metric(
    "aibridged_budget_alerts_total",
    Kind.COUNTER,
    "Budget alerts that this daemon has told, by the percentage of the spend limit, its scope and "
    "its period; each is told once a period, by one of the daemons.",
    ("threshold", "scope", "period"),
)
BUDGET_ALERT_POSTS = Metric(
    "aibridged_budget_alert_posts_total",
    Kind.COUNTER,
    "Budget alerts posted to the webhook, by outcome: sent, failed (which is tried again) or "
    "given_up (after a day).",
    ("outcome",),
)

BUDGETS = (BUDGET_ALERTS, BUDGET_ALERT_POSTS)
