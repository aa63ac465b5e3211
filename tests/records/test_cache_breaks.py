"""Where the prompt cache broke among interceptions on record, and what that cost."""

import json
from datetime import timedelta

import pytest

from aibridged.core.cache_breaks import Cause, Change
from aibridged.core.prices import Cost, Label, Priced
from aibridged.records import cache_breaks as module
from aibridged.records.cache_breaks import find_breaks
from aibridged.records.facts import InterceptionEnd, Outcome, TokenUsageRecord, ToolUsageRecord
from aibridged.records.fingerprint_writer import FingerprintWriter, Sent
from aibridged.records.ids import uuid7
from aibridged.wire.facts import WireApi


def body(count, tools=("ls",), **more):
    messages = [{"role": "user", "content": f"message {number}"} for number in range(count)]
    return json.dumps({"tools": [{"name": name} for name in tools], "messages": messages, **more})


def price(provider, models, at, usage, asked):
    """Ten nano-dollars a token, and one for what is read from the cache."""
    amount = 10 * (usage.input + usage.cache_write) + usage.cache_read
    return Priced(Cost(amount, Label.ESTIMATED if usage.partial else Label.EXACT))


class Story:
    """Turns on record, with their fingerprints."""

    def __init__(self, store, engine, new_start, clock):
        self._store, self._engine, self._new_start, self._clock = store, engine, new_start, clock
        self.ids = []

    def turn(self, source=None, usages=((0, 0, 20_000),), key=b"k", api=WireApi.MESSAGES, **more):
        """A turn that answers the call of the one before; `usages` are input, read and written."""
        seconds, answers = more.pop("seconds", 10), more.pop("answers", True)
        self._clock.advance(seconds)
        results = (f"call {len(self.ids) - 1}",) if answers and self.ids else ()
        start = self._new_start(tool_result_ids=results, client_session_id="s", **more)
        own = {"interception_id": start.id, "created_at": self._clock.wall()}
        facts = [
            ToolUsageRecord(
                id=uuid7(self._clock.wall()),
                tool="ls",
                input="{}",
                provider_tool_call_id=f"call {len(self.ids)}",
                **own,
            )
        ]
        for number, (fresh, read, written, *metadata) in enumerate(usages):
            facts.append(
                TokenUsageRecord(
                    id=uuid7(self._clock.wall(), number),
                    input_tokens=fresh,
                    cache_read_input_tokens=read,
                    cache_write_input_tokens=written,
                    cost_nanos=1,
                    cost_label="exact",
                    metadata=metadata[0] if metadata else {},
                    **own,
                )
            )
        end = InterceptionEnd(
            interception_id=start.id, ended_at=self._clock.wall(), outcome=Outcome.COMPLETED
        )
        self._store.write([start], [])
        self._store.write([], [*facts, end])
        if source is not None:
            writer = FingerprintWriter(
                self._engine, self._clock, lambda: key * 32, sleep=lambda seconds: None
            )
            writer._known = self._known.setdefault(key, writer._known)
            writer.put(Sent(start.id, (start.initiator_id, "s"), api, source.encode()))
            writer.finish(10)
            assert writer.counts["stored"] == 1
        self.ids.append(start.id)
        return start.id

    _known: dict = {}  # noqa: RUF012 - replaced by the fixture

    def breaks(self, price=price):
        with self._engine.connect() as connection:
            return find_breaks(connection, self.ids, price)


@pytest.fixture
def story(store, database, new_start, clock):
    made = Story(store, database.engine, new_start, clock)
    made._known = {}
    return made


def test_a_turn_that_goes_on_breaks_nothing(story):
    story.turn(body(3))
    story.turn(body(5), [(0, 20_000, 500)])
    assert story.breaks() == {}


def test_a_tool_that_was_added(story):
    first = story.turn(body(3))
    second = story.turn(body(5, ("ls", "cat")), [(100, 0, 21_000)])
    [broken] = story.breaks().values()
    assert list(story.breaks()) == [second]
    assert broken.before_id == first
    found = broken.found
    assert (found.cause, found.lost_tokens, found.seconds) == (Cause.TOOLS, 20_000, 10)
    assert (found.difference.place, found.difference.change) == (1, Change.INSERTED)
    assert (broken.cost, broken.cost_label) == (9 * 20_000, "exact")


def test_a_turn_is_compared_across_prompts(story):
    story.turn(body(3))
    story.turn(body(6, system="New."), [(100, 0, 21_000)], answers=False)
    [broken] = story.breaks().values()
    assert broken.found.cause is Cause.SYSTEM


def test_another_conversation_is_no_break(story):
    story.turn(body(3))
    other = json.dumps({"messages": [{"role": "user", "content": "Name this session."}]})
    story.turn(other, [(0, 0, 21_000)], answers=False)
    assert story.breaks() == {}


def test_without_fingerprints_time_and_model_are_told(story):
    story.turn()
    story.turn(usages=[(0, 0, 20_000)], model="other")
    story.turn(usages=[(0, 0, 20_000)], model="other", seconds=1_000)
    story.turn(usages=[(0, 0, 20_000)], model="other")
    causes = [each.found.cause for each in story.breaks().values()]
    assert causes == [Cause.MODEL, Cause.EXPIRED, Cause.UNKNOWN]


def test_prompts_of_other_keys_are_not_compared(story):
    story.turn(body(3))
    story.turn(body(3, ("cat",)), [(0, 0, 20_000)], key=b"l")
    [broken] = story.breaks().values()
    assert broken.found.cause is Cause.UNKNOWN


def test_what_a_provider_caches_by_itself_counts_whole(story):
    for tools in (("ls",), ("cat",)):
        story.turn(body(3, tools), [(20_000, 0, 0)], api=WireApi.CHAT_COMPLETIONS)
    [broken] = story.breaks().values()
    assert (broken.found.lost_tokens, broken.cost) == (20_000, 9 * 20_000)


def test_of_several_responses_the_last_and_the_first_meet(story):
    compaction = {"iteration": "compaction"}
    story.turn(body(3), [(0, 0, 10_000), (0, 10_000, 10_000), (0, 0, 99_000, compaction)])
    story.turn(body(4), [(0, 20_000, 10_000), (0, 30_000, 10_000)])
    assert story.breaks() == {}


def test_a_turn_before_that_told_no_tokens_is_passed_over(story):
    story.turn(body(3))
    story.turn(body(4), [])
    story.turn(body(5), [(0, 0, 30_000)])
    # Its fingerprints name the same one: nothing is known.
    assert story.breaks() == {}


def test_without_a_price_there_is_no_cost(story):
    story.turn(body(3))
    story.turn(body(3, ("cat",)), [(0, 0, 20_000)])
    for unpriced in (None, lambda *_: Priced(None), lambda *_: Priced(Cost(None, Label.UNPRICED))):
        [broken] = story.breaks(unpriced).values()
        assert (broken.cost, broken.cost_label) == (None, None)


def test_an_estimate_stays_one(story):
    story.turn(body(3))
    story.turn(body(3, ("cat",)), [(0, 0, 20_000, {"cost_reasons": "partial"})])
    [broken] = story.breaks().values()
    assert broken.cost_label == "estimated"


def test_many_are_read_a_few_at_a_time(story, monkeypatch):
    monkeypatch.setattr(module, "_PROMPTS_AT_ONCE", 2)
    monkeypatch.setattr(module, "_IDS_AT_ONCE", 2)
    for number in range(7):
        story.turn(body(3, (f"tool {number}",)), [(0, 0, 20_000)])
    assert [each.found.cause for each in story.breaks().values()] == [Cause.TOOLS] * 6


def test_a_pruned_turn_leaves_nothing_to_compare(story, store, clock):
    story.turn(body(3))
    clock.advance(timedelta(days=1).total_seconds())
    story.turn(body(3, ("cat",)), [(0, 0, 20_000)])
    assert store.prune(clock.wall() - timedelta(hours=1), 10) == 1
    assert story.breaks() == {}
