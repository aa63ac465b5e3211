"""What was used by charge period, person, client, model and provider, for a FOCUS export."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from aibridged.core.auth import CredentialKind
from aibridged.core.focus import COLUMNS, Charge, ChargePeriod
from aibridged.core.prices import STANDARD, TIERS, tier_of
from aibridged.records.export import ROWS_AT_ONCE, Field, Type
from aibridged.records.filters import PARTS, conditions, resolved
from aibridged.records.query import Query
from aibridged.records.query_results import Filter
from aibridged.records.schema import TOKEN_COUNTS, interceptions, token_usages
from aibridged.records.storable import storable

_I, _T = interceptions.c, token_usages.c
_TIMES = {"BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"}
_OBJECTS = {"SkuPriceDetails", "Tags"}
_NUMBERS = ("Cost", "Price", "Quantity")
_CHARACTERS = {ChargePeriod.DAY: 10, ChargePeriod.HOUR: 13}
_TIER, _SPEED = "told_tier", "told_speed"


def _type(name: str) -> Type:
    if name in _TIMES:
        return Type.TIME
    if name in _OBJECTS:
        return Type.JSON
    return Type.NUMBER if name.endswith(_NUMBERS) else Type.TEXT


FOCUS_FIELDS = tuple(Field(name, _type(name)) for name in COLUMNS)
"""The columns of an export. Numbers are decimal texts."""


def find_charges(query: Query, wanted: Filter, period: ChargePeriod) -> Iterator[Sequence[Charge]]:
    """All that have ended and match, by period, in pages. They are of one read.

    Raises:
        QueryFailedError: it took too long, or the database is unavailable.
    """
    with query.reading() as connection:
        statement = _statement(resolved(connection, wanted), period)
        streaming = connection.execution_options(yield_per=ROWS_AT_ONCE)
        for page in streaming.execute(statement).partitions():
            yield [_charge(row) for row in page]


def _statement(wanted: Filter, period: ChargePeriod) -> sa.Select[Any]:
    model = sa.func.coalesce(_T.provider_model, _I.model)
    where = [PARTS[0], *conditions(msgspec.structs.replace(wanted, model=None))]
    if wanted.model is not None:
        where.append(model == storable(wanted.model))
    # One that broke off before any usage was told has a cost of its own.
    is_alone = _T.id.is_(None)
    keys = [
        _start(_CHARACTERS[period]),
        _I.provider_name,
        model.label("used"),
        _I.initiator_id,
        _I.client,
        _I.credential_kind,
        sa.case((is_alone, _I.cost_label), else_=_T.cost_label).label("label"),
        _T.price_version,
        _noted("service_tier").label(_TIER),
        _noted("speed").label(_SPEED),
    ]
    # By their names: PostgreSQL wouldn't know an expression with parameters again.
    by_name = [key.name if key.name in (_TIER, _SPEED) else key for key in keys]
    cost = sa.case((is_alone, _I.cost_nanos), else_=_T.cost_nanos)
    sums = [sa.func.coalesce(sa.func.sum(_T[name]), 0).label(name) for name in TOKEN_COUNTS]
    return (
        sa.select(
            *keys,
            sa.func.max(_I.username).label("username"),
            sa.func.count(sa.distinct(_I.id)).label("requests"),
            sa.func.count(cost).label("priced"),
            sa.func.sum(cost).label("cost"),
            *sums,
        )
        .select_from(interceptions.outerjoin(token_usages))
        .where(*where)
        .group_by(*by_name)
        .order_by(*by_name)
    )


def _noted(name: str) -> sa.ColumnElement[str]:
    """What the response has told, or else the request has asked for."""
    told, asked = (_T.metadata[each].as_string() for each in (name, f"asked_{name}"))
    return sa.func.coalesce(told, asked)


def _start(characters: int) -> sa.ColumnElement[str]:
    """How the text of the start begins, alike in both databases; grouped by, without parameters."""

    def number(text: str) -> sa.ColumnElement[int]:
        return sa.literal_column(text, sa.Integer)

    text = sa.cast(_I.started_at, sa.Text)
    return sa.func.substr(text, number("1"), number(f"{characters}")).label("start")


def _charge(row: sa.Row[Any]) -> Charge:
    return Charge(
        start=datetime.fromisoformat(row.start).replace(tzinfo=UTC),
        provider_name=row.provider_name,
        model=row.used,
        initiator_id=row.initiator_id,
        username=row.username,
        client=row.client,
        is_byok=row.credential_kind == CredentialKind.BYOK,
        tier=tier if (tier := tier_of(row.told_tier, row.told_speed)) in TIERS else STANDARD,
        label=row.label,
        price_version=row.price_version,
        requests=row.requests,
        tokens=(
            int(row.input_tokens),
            int(row.output_tokens),
            int(row.cache_read_input_tokens),
            int(row.cache_write_input_tokens),
        ),
        cost=int(row.cost) if row.priced else None,
    )
