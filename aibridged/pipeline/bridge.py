"""A bridge: the cached state of one caller and key, with the caller's MCP tools."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from loguru import logger

from aibridged.clock import Clock
from aibridged.core.auth import CredentialKind
from aibridged.core.cost_notes import NOTHING, Asked
from aibridged.core.prices import Cost, Label, Reason
from aibridged.counted import counted
from aibridged.mcp.tools import CallerTools, Tool, Toolbox
from aibridged.pipeline.bill import Bill, Guess, guessed
from aibridged.pipeline.bridge_pool import BridgeKey
from aibridged.pipeline.failure import error_fields, of_response, redacted
from aibridged.pipeline.response_observer import ResponseObserver
from aibridged.pipeline.start_records import prompt_record, start_metadata
from aibridged.pipeline.storing import Storing, background_records
from aibridged.pipeline.trace import RequestTrace
from aibridged.prices.pricing import Pricing
from aibridged.records.facts import (
    ErrorSource,
    Fact,
    Failure,
    InterceptionEnd,
    InterceptionStart,
    Metadata,
    Outcome,
    ToolRun,
    UserPromptRecord,
    ended_at,
    last_results,
)
from aibridged.records.ids import uuid7
from aibridged.records.recording import Recording
from aibridged.records.response_records import response_records
from aibridged.records.schema import MAX_ID, MAX_NAME
from aibridged.records.stored_objects import StoredObjects
from aibridged.records.truncation import Truncator
from aibridged.wire.clients import USER_AGENT
from aibridged.wire.facts import RESPONSES_APIS, RUNNING, ResponseFacts, TokenUsage
from aibridged.wire.usage_sums import together

if TYPE_CHECKING:
    from aibridged.pipeline.context import RequestContext

_MAX_USER_AGENT = 512  # characters
_NO_RUNS: Mapping[int, ToolRun] = {}
_NO_FACTS = ResponseFacts()
Watch = Callable[[ResponseFacts, int], Metadata]
"""Is told what a request has come to, and its cost in nano-dollars; what goes on record of it."""
NOT_RUN = (
    "Not run: it was truncated, over the limit, or mixed with calls of the client's own tools."
)


class Bridge:
    """Starts the interceptions of one caller. `tools` is None where no MCP server is configured."""

    def __init__(
        self,
        key: BridgeKey,
        recorder: Recording,
        truncator: Truncator,
        clock: Clock,
        stored: StoredObjects,
        pricing: Pricing,
        tools: CallerTools | None = None,
    ) -> None:
        self._key = key
        self._stored = stored
        self._tools = tools
        self._recorder = recorder
        self._pricing = pricing
        self._truncator = truncator
        self._clock = clock
        self._begun = 0

    async def begin(self, context: "RequestContext") -> "Interception":
        """Record a request before it goes upstream; returns once that is committed.

        Raises:
            RecordingFailedError: it couldn't be recorded, so the request must not go upstream.
            BudgetExceededError: the reservation isn't allowed, and neither is the request.
        """
        if self._pricing.book is None:
            await self._pricing.loaded()
        began = self._clock.monotonic()
        facts, route, credential, trace = (
            context.facts,
            context.route,
            context.credential,
            context.trace,
        )
        provider, (name, session) = route.provider, context.client
        started_at = self._clock.wall()
        start = InterceptionStart(
            id=uuid7(started_at),
            initiator_id=self._key.initiator_id,
            username=context.actor.username,
            api_key_id=self._key.api_key_id,
            provider=provider.type,
            provider_name=provider.name,
            model=facts.model[:MAX_NAME],
            client=name,
            user_agent=context.request.headers.get(USER_AGENT, "")[:_MAX_USER_AGENT] or None,
            client_session_id=session[:MAX_NAME] if session else None,
            credential_kind=str(credential.kind),
            credential_hint=credential.hint,
            tool_result_ids=last_results(facts.tool_result_ids),
            started_at=started_at,
            metadata=start_metadata(facts.purpose, context.requested_model),
            reservation=context.reservation,
        )
        prompt = None
        if facts.prompt is not None:
            # Made before the start is recorded: if it fails, nothing is left open.
            prompt = prompt_record(start, facts.prompt)
            if self._truncator.may_truncate(prompt):
                prompt = await self._truncator.truncate_in_thread(prompt)
        tier, speed = facts.service_tier, facts.speed
        asked = NOTHING if tier is None and speed is None else Asked(tier, speed)
        bill = Bill(self._pricing, provider.name, start.model, started_at, asked)
        interception = Interception(start, began, self._recorder, self._clock, trace, bill)
        # With a key of their own a caller is shown what that key may see, whoever made it.
        is_shared = credential.kind is CredentialKind.CENTRALIZED
        if route.api in RESPONSES_APIS and facts.store and (is_shared or facts.background):
            interception.store(Storing(self._stored, start, background=facts.background))
        context.scope.interception_id = start.id
        if trace is not None:
            trace.intercept(start, began, streaming=facts.stream)
        used = await self._recorder.start(start)
        if context.on_recorded is not None:
            context.on_recorded(context, used)
        if trace is not None:
            trace.recorded(start.id)
        self._begun += 1
        if prompt is not None:
            interception.record_prompt(prompt)
        return interception

    async def toolbox(self) -> Toolbox | None:
        """The caller's tools, None if there are none; see `CallerTools.open` for how long it waits.

        Only called for requests that may have tools: the first call connects to the servers.
        """
        return None if self._tools is None else await self._tools.open()

    def close(self) -> None:
        """No-op: every request ends before its bridge."""
        if self._tools is not None:
            self._tools.close()
        logger.debug("Closing a bridge after {}", counted(self._begun, "interception"))


class Interception:
    """One request in flight.

    `outcome` and `answer` are the results of all turns, where the gateway runs tools for the model,
    but without the calls of injected tools. `injected` are these tools, by the names that the model
    knows. `runs` are their calls in the current turn, by their ids, and `tool` the name of the one
    that runs now; `awaits_response` says whether
    the provider may be working on it, and `asked_bytes` how large it is. `failure` is why it
    failed, as far as that is known. `on_id` is to be told a response's id as soon as it is known,
    since the client may ask for what the provider stores; it is None where that stores nothing.
    `cost` is that of all turns, None until it has ended, or where it couldn't be computed. `watch`
    is told the end. `told` read the last turn that has ended; `ended_by` is the id of the user who
    has ended it from outside.
    """

    # Defaults are class attributes, as of the request's context.
    outcome = Outcome.FAILED
    failure: Failure | None = None
    cost: Cost | None = None
    answer = _NO_FACTS
    injected: Mapping[str, Tool] = {}
    tool: str | None = None
    ended_by: str | None = None
    has_ended = False
    awaits_response = False
    asked_bytes = 0
    watch: Watch | None = None
    is_fingerprinted = False
    told: ResponseObserver | None = None
    on_id: Callable[[str], None] | None = None
    _has_prompt = False
    _lacks_usage = False  # a turn that isn't the last
    _first_response_id: str | None = None
    _storing: Storing | None = None

    def __init__(
        self,
        start: InterceptionStart,
        began: float,
        recorder: Recording,
        clock: Clock,
        trace: RequestTrace | None,
        bill: Bill,
    ) -> None:
        self.id = start.id
        self.start = start
        self.runs: dict[str, ToolRun] = {}
        self._began = began
        self._recorder = recorder
        self._clock = clock
        self._trace = trace
        self._bill = bill

    def store(self, storing: Storing) -> None:
        """Note the ids of the responses, which the provider stores."""
        self._storing = storing
        self.on_id = storing.note

    @property
    def cost_so_far(self) -> int:
        """Nano-dollars of the turns that have ended, as far as they have a price."""
        total = self._bill.total
        return (total and total.amount) or 0

    def record_prompt(self, prompt: UserPromptRecord) -> None:
        """Record the user's prompt."""
        self._has_prompt = True
        self._recorder.record(prompt, initiator_id=self.start.initiator_id)

    def end_turn(self, reading: ResponseObserver) -> None:
        """Record a response that isn't the last; its tool calls have been run, or given up."""
        facts = self._facts(reading)
        self.told, self.awaits_response = reading, False
        if self._trace is not None:
            self._trace.answered()
        runs = self._runs_in(facts)
        records = self._rows(reading, facts, self._now(), runs)
        self._recorder.record(*records, initiator_id=self.start.initiator_id)
        self._lacks_usage = self._lacks_usage or not _is_counted(facts)
        self._keep(facts, runs)

    def end(
        self,
        outcome: Outcome,
        status: int | None,
        reading: ResponseObserver | None,
        secrets: Callable[[], Iterable[bytes]],
    ) -> ResponseFacts:
        """Record the end, and the facts of the response; returns those of all turns.

        The second time it only returns them. `secrets` are blanked in the error's message, which
        may quote them.
        """
        if self.has_ended:
            return self.answer
        self.has_ended = True
        if reading is self.told:
            reading = None
        facts = self._facts(reading) if reading is not None else _NO_FACTS
        runs = self._runs_in(facts) if self.injected else _NO_RUNS
        is_whole = (facts.complete or facts.status in RUNNING) and facts.error is None
        unread = facts.unread if facts.anomalies else None
        if outcome is Outcome.COMPLETED:
            # The client has all of a response that couldn't be read, and may make more of it.
            if not is_whole and (unread is None or facts.error is not None):
                outcome = Outcome.FAILED
        elif outcome is Outcome.CLIENT_CLOSED and reading is not None:
            if facts.error is not None or reading.status >= 400:
                outcome = Outcome.FAILED  # the client had got the error
            elif is_whole and not runs:
                # Some clients (Codex) disconnect at the last event, before the body has ended.
                outcome = Outcome.COMPLETED
        self.outcome = outcome
        failed = outcome is Outcome.FAILED
        failure = self.failure = self._reason(reading, facts, secrets) if failed else None
        if self._trace is not None:
            self._trace.answered()
        at = self._now()
        if runs or self.told is not None:
            self._keep(facts, runs)
        else:
            self.answer = facts
        told = reading or self.told
        first_byte = told.first_byte_at if told is not None else None
        first_id = self._first_response_id if self._has_prompt else None
        is_counted = _is_counted(facts)
        if facts.status is not None:
            records = background_records(self.id, facts, at, self._bill)
        else:
            records = self._rows(reading, facts, at, runs)
        if facts.status not in RUNNING:
            self.cost = self._bill.total
        elif (reserved := self.start.reservation) is not None and reserved.amount:
            # Until it is fetched, if ever: nothing stays reserved.
            self.cost = Cost(reserved.amount, Label.ESTIMATED, (Reason.PARTIAL,))
        cost = self.cost
        metadata: Metadata = {} if unread is None else {"unread": unread}
        if self.ended_by is not None:
            metadata["ended_by"] = self.ended_by
        if self.watch is not None:
            metadata |= self.watch(self.answer, (cost and cost.amount) or 0)
        end = InterceptionEnd(
            interception_id=self.id,
            ended_at=at,
            outcome=outcome,
            status_code=status,
            usage_partial=self._lacks_usage
            or (
                not is_counted  # and some may have been used
                and (self.awaits_response if reading is None else reading.status == 200)
            ),
            time_to_first_byte_ms=(
                None if first_byte is None else round((first_byte - self._began) * 1000)
            ),
            prompt_response_id=first_id and first_id[:MAX_ID],
            metadata=metadata,
            cost_nanos=cost and cost.amount,
            cost_label=cost and str(cost.label),
        )
        if failure is not None:
            end = msgspec.structs.replace(end, **error_fields(failure))
        self._recorder.record(*records, end, initiator_id=self.start.initiator_id)
        return self.answer

    def _reason(
        self,
        reading: ResponseObserver | None,
        facts: ResponseFacts,
        secrets: Callable[[], Iterable[bytes]],
    ) -> Failure:
        """Why it failed: the provider's own words, unless the gateway answered in its place."""
        status = reading.status if reading is not None else 0
        found = self.failure
        theirs = facts.error is not None or status >= 400
        if found is None or (theirs and found.source is ErrorSource.PROVIDER):
            found = of_response(status, facts.error)
        return redacted(found, secrets())

    def _facts(self, reading: ResponseObserver) -> ResponseFacts:
        facts = reading.facts()
        if self._first_response_id is None:
            self._first_response_id = facts.response_id
        if self._storing is not None and facts.response_id is not None and reading.status < 400:
            self._storing.note(facts.response_id, background=facts.status is not None)
        return facts

    def _runs_in(self, facts: ResponseFacts) -> Mapping[int, ToolRun]:
        """The outcome of each call of an injected tool, also if it was never run, by its place."""
        ran, self.runs = self.runs, {}
        told = {call.call_id for call in facts.tool_calls}
        made_up = iter([call_id for call_id in ran if call_id not in told])  # in the calls' order
        runs = {}
        for place, call in enumerate(facts.tool_calls):
            tool = self.injected.get(call.name)
            if tool is None:
                continue
            call_id = call.call_id or next(made_up, "")
            runs[place] = ran.get(call_id) or ToolRun(
                tool=tool.tool, server_url=tool.server_url, call_id=call_id, error=NOT_RUN
            )
        return runs

    def _keep(self, facts: ResponseFacts, runs: Mapping[int, ToolRun]) -> None:
        """Add the facts of a turn to those of the turns before it."""
        if runs:
            own = tuple(call for place, call in enumerate(facts.tool_calls) if place not in runs)
            facts = msgspec.structs.replace(facts, tool_calls=own)
        self.answer = facts if self.told is None else together(self.answer, facts)

    def _now(self) -> datetime:
        return ended_at(self.start.started_at, self._clock.monotonic() - self._began)

    def _rows(
        self,
        reading: ResponseObserver | None,
        facts: ResponseFacts,
        at: datetime,
        runs: Mapping[int, ToolRun],
    ) -> Sequence[Fact]:
        """The rows of a response, with a guess at what its provider didn't tell."""
        is_told = facts.usage is not None and (facts.complete or not facts.usage.partial)
        guess = None if is_told else self._guess(reading)
        if guess is not None and facts.usage is None:
            facts = msgspec.structs.replace(facts, usage=TokenUsage(partial=True))
        return response_records(self.id, facts, at, runs, self._bill.of(facts, guess))

    def _guess(self, reading: ResponseObserver | None) -> Guess | None:
        """The tokens that may have been used; None where there were none."""
        if reading is None:
            return guessed(self.asked_bytes) if self.awaits_response else None
        if reading.status != 200:
            return None
        return guessed(self.asked_bytes, reading.size, reading.api, is_stream=reading.is_stream)


def _is_counted(facts: ResponseFacts) -> bool:
    return facts.usage is not None and not facts.usage.partial


def outcome_of(status: int) -> Outcome:
    """How an interception ends by a whole response of this status."""
    return Outcome.COMPLETED if status < 400 else Outcome.FAILED
