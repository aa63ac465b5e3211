"""The rows of a response: its usages with their costs, thoughts and tool calls."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from aibridged.core.cost_notes import REASONS, SERVICE_TIER, SPEED
from aibridged.core.prices import NOT_COMPUTED, STANDARD, Label, Priced, tier_of
from aibridged.records.facts import (
    Fact,
    Metadata,
    ModelThoughtRecord,
    TokenUsageRecord,
    ToolRun,
    ToolUsageRecord,
)
from aibridged.records.ids import uuid7, uuid7_beside
from aibridged.records.schema import MAX_ID, MAX_NAME, MAX_PRICE_VERSION
from aibridged.wire.collector import OMITTED
from aibridged.wire.facts import ResponseFacts, TokenUsage

_MAX_SEQUENCE = 4095

_NO_RUNS: Mapping[int, ToolRun] = {}

Price = Callable[[TokenUsage], Priced]
"""Tells what a usage costs."""


def not_priced(_: TokenUsage) -> Priced:
    """Tells no cost."""
    return NOT_COMPUTED


def response_records(
    interception_id: str,
    response: ResponseFacts,
    created_at: datetime,
    runs: Mapping[int, ToolRun] = _NO_RUNS,
    price: Price = not_priced,
) -> Sequence[Fact]:
    """The rows of a response: usages, thoughts and tool calls, whose ids keep the order.

    `runs` are the calls of injected tools, by their places in `tool_calls`. Names and ids are cut
    to their bounds here already: each row of a response repeats the response's id. The metadata of
    the last row says how many tool calls and thoughts were `omitted`, if any.
    """
    response_id = (response.response_id or "")[:MAX_ID]
    records: list[TokenUsageRecord | ModelThoughtRecord | ToolUsageRecord] = []
    usage = response.usage
    usages = () if usage is None else (usage, *usage.additional) if usage.additional else (usage,)
    for number, used in enumerate(usages):
        priced = price(used)
        cost, source = priced.cost, priced.source
        records.append(
            TokenUsageRecord(
                id=uuid7(created_at, number),
                interception_id=interception_id,
                created_at=created_at,
                provider_response_id=response_id,
                provider_model=used.model and used.model[:MAX_NAME],
                input_tokens=used.input,
                output_tokens=used.output,
                cache_read_input_tokens=used.cache_read,
                cache_write_input_tokens=used.cache_write,
                cost_nanos=None if cost is None else cost.amount,
                cost_label=None if cost is None else str(cost.label),
                price_version=source and source[:MAX_PRICE_VERSION],
                metadata=_details(used, priced),
            )
        )
    for number, thought in enumerate(response.thoughts):
        records.append(
            ModelThoughtRecord(
                id=uuid7(created_at, min(number, _MAX_SEQUENCE)),
                interception_id=interception_id,
                created_at=created_at,
                content=thought.content,
                metadata={"source": thought.source, **_marks(partial=not thought.complete)},
            )
        )
    for number, call in enumerate(response.tool_calls):
        run = runs.get(number)
        records.append(
            ToolUsageRecord(
                id=uuid7(created_at, min(number, _MAX_SEQUENCE)),
                interception_id=interception_id,
                created_at=created_at,
                tool=(run.tool if run else call.name)[:MAX_NAME],
                input=call.arguments,
                provider_response_id=response_id,
                provider_tool_call_id=(run.call_id if run else call.call_id)[:MAX_NAME],
                provider_item_id=call.item_id and call.item_id[:MAX_ID],
                server_url=run.server_url if run else None,
                injected=run is not None,
                invocation_error=run.error if run else None,
                metadata={
                    **_marks(partial=not call.complete, server_side=call.server_side),
                    **(_duration(run) if run else {}),
                },
            )
        )
    if records and (omitted := response.anomalies.get(OMITTED)):
        records[-1].metadata["omitted"] = omitted
    return records


def _details(used: TokenUsage, priced: Priced) -> Metadata:
    """The breakdown of the counts, and those of the cache once more, where Coder's Grafana
    dashboard looks for them; and what explains the cost."""
    details: Metadata = {**used.extra}
    if used.cache_read:
        details["cache_read_input"] = used.cache_read
    if used.cache_write:
        details["cache_creation_input"] = used.cache_write
    if used.iteration is not None:
        details["iteration"] = used.iteration
    if used.service_tier is not None and tier_of(used.service_tier) != STANDARD:
        details[SERVICE_TIER] = used.service_tier
    if used.speed is not None and tier_of(None, used.speed) != STANDARD:
        details[SPEED] = used.speed
    details |= priced.notes
    if priced.cost is not None and priced.cost.label is Label.ESTIMATED:
        details[REASONS] = " ".join(priced.cost.reasons)
    return details


def told_once(
    interception_id: str,
    response: ResponseFacts,
    created_at: datetime,
    price: Price = not_priced,
) -> Sequence[Fact]:
    """The rows of a response in the background, with ids that are the same every time.

    However often it is fetched, and through whichever daemon, the database keeps them once.
    """
    counted: dict[type, int] = {}
    found: list[Fact] = []
    for record in response_records(interception_id, response, created_at, price=price):
        number = counted[type(record)] = counted.get(type(record), -1) + 1
        name = f"{response.response_id}/{type(record).__name__}/{number}"
        id = uuid7_beside(interception_id, min(number, _MAX_SEQUENCE), name)
        found.append(msgspec.structs.replace(record, id=id))
    return found


def _duration(run: ToolRun) -> Metadata:
    return {} if run.seconds is None else {"duration_ms": round(run.seconds * 1000)}


def _marks(**marks: bool) -> Metadata:
    return {name: True for name, is_set in marks.items() if is_set}
