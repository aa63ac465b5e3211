"""Notes and reads what a provider stores of an interception's answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from aibridged.pipeline.bill import UNTOLD, Bill
from aibridged.pipeline.failure import error_fields
from aibridged.records.facts import (
    BackgroundRecord,
    Fact,
    Failure,
    InterceptionStart,
    Outcome,
    StoredObjectRecord,
)
from aibridged.records.response_records import told_once
from aibridged.records.stored_objects import StoredObjects
from aibridged.wire.facts import ResponseFacts

_CANCELLED = "cancelled"

OUTCOMES: Mapping[str, Outcome] = {
    "completed": Outcome.COMPLETED,
    "incomplete": Outcome.COMPLETED,  # as it is for one that was waited for
    "failed": Outcome.FAILED,
    _CANCELLED: Outcome.CLIENT_CLOSED,  # no one else can
}
"""How an interception has ended, by the last status of its response."""


class Storing:
    """Notes the responses of one interception that the provider stores, each once."""

    def __init__(
        self, objects: StoredObjects, start: InterceptionStart, *, background: bool
    ) -> None:
        self._objects = objects
        self._start = start
        self._background = background
        self._noted: str | None = None

    def note(self, response_id: str, *, background: bool = False) -> None:
        """The provider has told the id of a response; `background`: it is answered later."""
        if response_id == self._noted:
            return
        self._noted = response_id
        start = self._start
        self._objects.made(
            StoredObjectRecord(
                provider_name=start.provider_name,
                object_id=response_id,
                initiator_id=start.initiator_id,
                created_at=start.started_at,
                interception_id=start.id,
                is_background=self._background or background,
            ),
            model=start.model,
        )


def background_records(
    interception_id: str,
    response: ResponseFacts,
    at: datetime,
    bill: Bill,
    *,
    is_fetched: bool = False,
    failure: Failure | None = None,
) -> Sequence[Fact]:
    """What is recorded of a response in the background, at the end of the request for it or later.

    The rows are the same every time. Once `is_fetched`, it decides how its interception has ended,
    and what that has cost.
    """
    assert response.status is not None, "it runs in the background"
    outcome = partial = cost = None
    rows = told_once(interception_id, response, at, bill.of(response))
    if is_fetched:
        outcome = OUTCOMES[response.status]
        partial = response.usage is None
        # One that was cancelled has cost something: what was charged for it at first stays.
        cost = bill.total if not partial else None if response.status == _CANCELLED else UNTOLD
    status = BackgroundRecord(
        interception_id=interception_id,
        status=response.status,
        outcome=outcome,
        usage_partial=partial,
        cost_nanos=cost and cost.amount,
        cost_label=cost and str(cost.label),
    )
    status = msgspec.structs.replace(status, **error_fields(failure))
    return (*rows, status)
