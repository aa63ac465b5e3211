"""Totals and names of the record, which have no texts."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.records.cancel_scope import TIME_LIMIT_S, CancelScope
from aibridged.records.names import find_names
from aibridged.records.query_results import Filter, Names, Usage, UsageBy
from aibridged.records.recorded_usage import Price
from aibridged.records.schema import interceptions
from aibridged.records.usage import find_usage, stream_usage
from aibridged.records.viewer import Viewer

_I = interceptions.c


class Figures:
    """Totals and names: the part of `Query` for which it doesn't matter who looks."""

    def __init__(
        self,
        engine: sa.Engine,
        clock: Clock,
        viewer: Viewer,
        *,
        time_limit: float = TIME_LIMIT_S,
        scope: CancelScope | None = None,
        price: Price | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._viewer = viewer
        self._time_limit = time_limit
        self._scope = scope
        self.price = price

    def now(self) -> datetime:
        """The time (UTC) that questions about the present mean."""
        return self._clock.wall()

    def usage(self, by: Sequence[UsageBy], wanted: Filter) -> list[Usage]:
        """Totals of each combination of the dimensions, those with the most tokens first.

        Where the first one is a time, the newest are first. The model that is `wanted` is the one
        that used the tokens.
        """
        with self._connect() as connection:
            return find_usage(connection, by, wanted)[0]

    def usage_and_total(
        self, by: Sequence[UsageBy], wanted: Filter, sort: str | None = None
    ) -> tuple[list[Usage], Usage]:
        """The same, in the order of `sort`, and the total of all that matches, whatever the limit.

        `sort` is a dimension, or the name of a number of a `Usage`, which puts the greatest first.
        """
        with self._connect() as connection:
            return find_usage(connection, by, wanted, sort)

    def each_usage(self, by: Sequence[UsageBy], wanted: Filter) -> Iterator[Usage]:
        """All totals, whatever the limit, a few at a time in memory.

        Raises:
            QueryFailedError: it took too long, or the database is unavailable.
        """
        with self._connect() as connection:
            yield from stream_usage(connection, by, wanted)

    def models(self, wanted: Names, initiator: str | None = None) -> list[str]:
        """The models in use, sorted."""
        return self._names(_I.model, wanted, initiator)

    def clients(self, wanted: Names, initiator: str | None = None) -> list[str]:
        """The clients in use, sorted."""
        return self._names(_I.client, wanted, initiator)

    def providers(self, wanted: Names, initiator: str | None = None) -> list[str]:
        """The names of the providers in use, sorted."""
        return self._names(_I.provider_name, wanted, initiator)

    def initiators(self, wanted: Names, initiator: str | None = None) -> list[str]:
        """The usernames on record, sorted."""
        return self._names(_I.username, wanted, initiator)

    def _names(self, column: sa.Column[str], wanted: Names, initiator: str | None) -> list[str]:
        with self._connect() as connection:
            return find_names(connection, column, wanted, initiator)

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """A connection to read what other packages keep in the database; bound by the scope."""
        return self._connect()

    def _connect(self, seconds: float | None = None) -> AbstractContextManager[sa.Connection]:
        scope = self._scope or CancelScope(self._clock, self._time_limit)
        return scope.connect(self._engine, seconds)
