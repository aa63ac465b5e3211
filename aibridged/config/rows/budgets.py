"""Settings of budgets: what is told of them."""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

from dataclasses import dataclass

from aibridged.config import kinds
from aibridged.config.declare import Group, option
from aibridged.config.secret import Secret


@dataclass(frozen=True)
class BudgetRows:
    """Rows of `options.Settings`."""

    budget_alerts: tuple[int, ...] = option(
        "aibridge-budget-alerts",
        yaml="aibridge.budget_alerts",
        kind=kinds.PERCENTAGES,
        default="50,80,100",
        group=Group.BUDGETS,
        help="Percentages of a spend limit that alert, once a period; empty for none.",
    )
    budget_webhook_url: Secret | None = option(
        "aibridge-budget-webhook-url",
        yaml=None,
        kind=kinds.WEBHOOK_URL,
        default="",
        group=Group.BUDGETS,
        help="URL to which budget alerts are posted.",
    )
    budget_webhook_secret: Secret | None = option(
        "aibridge-budget-webhook-secret",
        yaml=None,
        kind=kinds.SECRET,
        default="",
        group=Group.BUDGETS,
        help="Secret that budget alerts are posted with, as Authorization: Bearer.",
    )
    budget_webhook_format: str = option(
        "aibridge-budget-webhook-format",
        yaml="aibridge.budget_webhook_format",
        kind=kinds.WEBHOOK_FORMAT,
        default="json",
        group=Group.BUDGETS,
        help="Format of posted budget alerts: json, or slack for its incoming webhooks.",
    )
