"""Budget alerts: which thresholds are reached, and what an alert says to people and programs."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from aibridged.core.budgets import Period, Scope
from aibridged.core.money import dollars, shown, shown_cents

_SLACK_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))  # of its message formatting
_ALL = 100  # percent
_encode = msgspec.json.Encoder().encode


class Alert(msgspec.Struct, frozen=True):
    """A threshold, in percent, that a subject has reached in a period; amounts in nano-dollars."""

    limit_id: str
    subject: str
    period_start: date
    threshold: int
    reached_at: datetime
    used: int
    cap: int

    @property
    def id(self) -> str:
        """What tells it from all others, for receivers that get one twice."""
        return f"{self.limit_id}/{self.subject}/{self.period_start}/{self.threshold}"


class Told(msgspec.Struct, frozen=True):
    """An alert, with its limit's scope and the names that people know.

    `name` is that of the user, group or token that has used so much; None if nobody knows. `group`
    is the group whose limit it is, if it is a group's.
    """

    alert: Alert
    scope: Scope
    period: Period
    resets_at: datetime
    name: str | None = None
    group: str | None = None


def reached(thresholds: Sequence[int], used: int, cap: int) -> list[int]:
    """The thresholds that are reached. A cap of 0, which blocks, has none."""
    return [each for each in thresholds if used * 100 >= each * cap] if cap > 0 else []


def sentence(told: Told) -> str:
    """The alert in a sentence or two: without secrets, on one line."""
    alert, name = told.alert, told.name or told.alert.subject.partition(":")[2]
    who, whose = name, "their"
    if told.scope is Scope.POOL:
        who, whose = f"The group {name}", "its shared"
    elif told.scope is Scope.TOKEN:
        who, whose = f"The token {name}", "its"
    amounts = f"{shown(alert.used, None)} of {shown_cents(alert.cap)}"
    how = "reached" if alert.threshold == _ALL else f"used {alert.threshold} % of"
    text = (
        f"{who} has {how} {whose} {told.period} budget ({amounts}). "
        f"It resets on {told.resets_at:%Y-%m-%d %H:%M} UTC."
    )
    return "".join(each if each.isprintable() else " " for each in text)


def as_json(told: Told) -> bytes:
    """The alert for a program; amounts are dollars as exact decimal text."""
    alert = told.alert
    kind, _, id = alert.subject.partition(":")
    return _encode(
        {
            "type": "budget_alert",
            "id": alert.id,
            "text": sentence(told),
            "threshold": alert.threshold,
            "subject": {"type": kind, "id": id, "name": told.name},
            "spend_limit": {
                "id": alert.limit_id,
                "scope": told.scope,
                "group": told.group,
                "amount": dollars(alert.cap),
            },
            "used": dollars(alert.used),
            "currency": "USD",
            "period": told.period,
            "period_start": alert.period_start,
            "resets_at": told.resets_at,
            "reached_at": alert.reached_at,
        }
    )


def as_slack(told: Told) -> bytes:
    """The alert for an incoming webhook of Slack, or of what understands the same."""
    text = sentence(told)
    for character, escaped in _SLACK_ESCAPES:
        text = text.replace(character, escaped)
    return _encode({"text": text})
