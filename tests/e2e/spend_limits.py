"""Spend limits as tests set them, and models whose prices are easy to reckon with."""

from collections import Counter
from decimal import Decimal

import sqlalchemy as sa

from aibridged.config.options import PriceSettings
from aibridged.core.budgets import CENT
from aibridged.identity import tables
from aibridged.records import schema

PRICES = (
    PriceSettings(model="dime*", input=Decimal(0), output=Decimal(100_000)),
    PriceSettings(model="free", input=Decimal(0), output=Decimal(0)),
)
"""A token that `dime` generates costs ten cents, and one that it is given nothing."""


def set_limit(engine, clock, cents, period="daily", scope="organization", scope_id=""):
    """Make a limit, in the place of another."""
    id = f"spl_{scope}_{scope_id}_{period}"[:32]
    row = {"id": id, "scope_type": scope, "scope_id": scope_id, "period": period}
    row |= {"amount_cents": cents, "created_at": clock.wall(), "updated_at": clock.wall()}
    with engine.begin() as connection:
        table = tables.spend_limits
        connection.execute(table.delete().where(table.c.id == id))
        connection.execute(table.insert().values(row))


def spend(engine, subject, day, cents):
    """Have so much been spent."""
    row = {"subject": subject, "day": day, "spent_nanos": cents * CENT, "reserved_nanos": 0}
    with engine.begin() as connection:
        connection.execute(schema.spend.insert().values(row))


def ledger(engine):
    """What is spent and reserved by all users, in cents."""
    sums = (sa.func.sum(schema.spend.c[name]) for name in ("spent_nanos", "reserved_nanos"))
    users = schema.spend.c.subject.startswith("user:")
    with engine.connect() as connection:
        return tuple(
            float(each or 0) / CENT
            for each in connection.execute(sa.select(*sums).where(users)).one()
        )


def is_balanced(engine):
    """Whether the counters of each subject and day say what the rows do."""
    rows, spend = schema.interceptions.c, schema.spend.c
    columns = (rows.initiator_id, rows.charged_to, rows.started_at)
    amounts = (rows.cost_nanos, rows.reserved_nanos)
    charged = sa.select(*columns, *amounts).where(rows.credential_kind == "centralized")
    counters = sa.select(spend.subject, spend.day, spend.spent_nanos, spend.reserved_nanos)
    told = Counter()
    with engine.connect() as connection:
        for initiator, others, at, cost, reserved in connection.execute(charged):
            for subject in (f"user:{initiator}", *(others or "").split()):
                told[subject, at.date(), "spent"] += cost or 0
                told[subject, at.date(), "reserved"] += reserved or 0
        for subject, day, spent, reserved in connection.execute(counters):
            told[subject, day, "spent"] -= spent
            told[subject, day, "reserved"] -= reserved
    return not any(told.values())
