"""Settings of budgets: what holds where limits can't be read, and what people are told."""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

from dataclasses import dataclass

from aibridged.config import kinds
from aibridged.config.declare import Group, option
from aibridged.config.secret import Secret


@dataclass(frozen=True, init=False, repr=False, eq=False)
class BudgetRows:
    """Rows of `options.Settings`."""

    budget_fail: str = option(
        "aibridge-budget-fail",
        yaml="aibridge.budget_fail",
        kind=kinds.BUDGET_FAIL,
        default="closed",
        group=Group.BUDGETS,
        help="Requests of people with a spend limit while limits can't be read: open or closed.",
    )
    budget_message: str = option(
        "aibridge-budget-message",
        yaml="aibridge.budget_message",
        kind=kinds.SENTENCE,
        default="",
        group=Group.BUDGETS,
        help="Addition to the sentence of a refusal for a spend limit, such as whom to ask.",
    )
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
