"""Finds where the prompt cache broke, among interceptions on record, and what that cost.

A turn is compared with the one whose tool calls it answers, or with the last one of its
conversation, which its fingerprints name.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from aibridged.core.cache_breaks import CacheBreak, Prompt, Trait, Turn, cache_break, lost_tokens
from aibridged.core.prices import Label
from aibridged.records.fingerprints import Stored, assembled, bases, new_traits
from aibridged.records.recorded_usage import Price, priced_again, usage_of
from aibridged.records.schema import interceptions, prompt_fingerprints, token_usages
from aibridged.wire.facts import TokenUsage, WireApi

_MAX_CHAIN = 40
"""More rows than ever build on one another."""
_PROMPTS_AT_ONCE = 10
"""Whole prompts that are compared with others, at a time in memory."""
_IDS_AT_ONCE = 500

_I, _U, _P = interceptions.c, token_usages.c, prompt_fingerprints.c
_COLUMNS = (
    _I.id,
    _I.thread_parent_id,
    _I.started_at,
    _I.provider_name,
    _I.model,
    _I.credential_hint,
    _I.usage_partial,
)


class Broken(NamedTuple):
    """What an interception has lost of the cache, compared with `before_id`.

    `cost` are the nano-dollars that it would have cost less; with its label None without prices.
    """

    found: CacheBreak
    before_id: str
    cost: int | None = None
    cost_label: str | None = None


class Results(NamedTuple):
    """Results of tools that a request has brought, beyond those that the one before had."""

    number: int
    size: int


class CacheNote(NamedTuple):
    """What is known of an interception's prompt."""

    broken: Broken | None
    results: Results | None


class _Pair(NamedTuple):
    before: Any
    now: Any


class _Rows:
    """Interceptions, with what of them tells about the cache."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.rows: dict[str, Any] = {}
        self.usages: dict[str, list[Any]] = defaultdict(list)
        self.prints: dict[str, Any] = {}

    def load(self, ids: Iterable[str]) -> None:
        wanted = sorted({*ids} - self.rows.keys())
        for start in range(0, len(wanted), _IDS_AT_ONCE):
            few = wanted[start : start + _IDS_AT_ONCE]
            read = self._connection.execute
            self.rows |= {row.id: row for row in read(sa.select(*_COLUMNS).where(_I.id.in_(few)))}
            usages = sa.select(token_usages).where(_U.interception_id.in_(few)).order_by(_U.id)
            for row in read(usages):
                if "iteration" not in (row.metadata or {}):
                    self.usages[row.interception_id].append(row)
            heads = sa.select(_P.interception_id, _P.api, _P.base_id)
            for row in read(heads.where(_P.interception_id.in_(few))):
                self.prints[row.interception_id] = row

    def before(self, id: str) -> Iterable[str]:
        """The ids of those that it may go on from, the likeliest first."""
        print_ = self.prints.get(id)
        for found in (self.rows[id].thread_parent_id, print_ and print_.base_id):
            if found is not None:
                yield found

    def turn(self, id: str, prompt: Prompt | None = None, *, last: bool) -> Turn | None:
        """A turn, by the last response to it, or the first; None where it tells of no tokens."""
        row, usages = self.rows.get(id), self.usages.get(id)
        if row is None or not usages:
            return None
        used, print_ = usages[-1 if last else 0], self.prints.get(id)
        return Turn(
            row.started_at,
            row.model,
            row.provider_name,
            row.credential_hint,
            used.input_tokens,
            used.cache_read_input_tokens,
            used.cache_write_input_tokens,
            print_ is not None and print_.api != WireApi.MESSAGES,
            prompt,
        )


def find_breaks(
    connection: sa.Connection, ids: Sequence[str], price: Price | None = None
) -> Mapping[str, Broken]:
    """Those of the interceptions that have lost much of the cache, by their ids."""
    known = _Rows(connection)
    known.load(ids)
    ids = [id for id in ids if id in known.rows]
    known.load(before for id in ids for before in known.before(id))
    pairs = [pair for id in ids if (pair := _pair(known, id)) is not None]
    found: dict[str, Broken] = {}
    for start in range(0, len(pairs), _PROMPTS_AT_ONCE):
        few = pairs[start : start + _PROMPTS_AT_ONCE]
        stored = _stored(connection, [id for pair in few for id in pair])
        for before, now in few:
            one, other = _comparable(assembled(before, stored), assembled(now, stored))
            earlier, later = known.turn(before, one, last=True), known.turn(now, other, last=False)
            if earlier is None or later is None:
                continue
            broken = cache_break(earlier, later)
            if broken is not None:
                cost = _cost(known, now, broken.lost_tokens, price)
                found[now] = Broken(broken, before, *cost)
    return found


def find_notes(
    connection: sa.Connection, ids: Sequence[str], price: Price | None = None
) -> Mapping[str, CacheNote]:
    """What is known of their prompts, by their ids; those of which nothing is are left out."""
    breaks = find_breaks(connection, ids, price)
    results = _results(connection, ids)
    return {
        id: CacheNote(breaks.get(id), results.get(id)) for id in {*breaks.keys(), *results.keys()}
    }


def _results(connection: sa.Connection, ids: Sequence[str]) -> Mapping[str, Results]:
    found = {}
    for start in range(0, len(ids), _IDS_AT_ONCE):
        wanted = _P.interception_id.in_(ids[start : start + _IDS_AT_ONCE])
        statement = sa.select(prompt_fingerprints).where(wanted, _P.base_id.is_not(None))
        for row in connection.execute(statement):
            sizes = [each.size for each in new_traits(Stored(*row)) if _is_result(each)]
            if sizes:
                found[row.interception_id] = Results(len(sizes), sum(sizes))
    return found


def _is_result(trait: Trait) -> bool:
    return trait.role == "tool" or trait.kind == "tool_result" or trait.kind.endswith("_output")


def _pair(known: _Rows, id: str) -> _Pair | None:
    """A turn that has lost tokens, with the one that it goes on from."""
    now = known.turn(id, last=False)
    for each in known.before(id):
        before = known.turn(each, last=True)
        if now is not None and before is not None:
            return _Pair(each, id) if lost_tokens(before, now) else None
    return None


def _comparable(
    before: tuple[bytes, Prompt] | None, now: tuple[bytes, Prompt] | None
) -> tuple[Prompt | None, Prompt | None]:
    """The prompts, if they were fingerprinted with the same key."""
    if before is None or now is None or before[0] != now[0]:
        return before[1] if before is not None else None, None
    return before[1], now[1]


def _stored(connection: sa.Connection, ids: Sequence[str]) -> Mapping[str, Stored]:
    """The rows of these interceptions, and those that they build on."""
    found: dict[str, Stored] = {}
    wanted = {*ids}
    for _ in range(_MAX_CHAIN):
        statement = sa.select(prompt_fingerprints).where(_P.interception_id.in_(wanted))
        rows = {row.interception_id: Stored(*row) for row in connection.execute(statement)}
        found |= rows
        wanted = bases(rows.values()) - found.keys()
        if not wanted:
            break
    return found


def _cost(known: _Rows, id: str, lost: int, price: Price | None) -> tuple[int | None, str | None]:
    """What the tokens cost more than they would have if they had been read from the cache."""
    if price is None:
        return None, None
    row, usage = known.rows[id], known.usages[id][0]
    used = usage_of(row, usage)
    paid = priced_again(price, row, usage, used).cost
    due = priced_again(price, row, usage, _as_read(used, lost)).cost
    if paid is None or due is None or paid.amount is None or due.amount is None:
        return None, None
    is_exact = paid.label is due.label is Label.EXACT
    return paid.amount - due.amount, str(Label.EXACT if is_exact else Label.ESTIMATED)


def _as_read(used: TokenUsage, lost: int) -> TokenUsage:
    """The usage, had so many tokens been read from the cache; those that were written first."""
    written = min(lost, used.cache_write)
    fresh = min(lost - written, used.input)
    return msgspec.structs.replace(
        used,
        input=used.input - fresh,
        cache_write=used.cache_write - written,
        cache_read=used.cache_read + written + fresh,
    )
