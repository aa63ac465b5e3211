"""What watchers of the running requests are told, and what they may cost."""

import asyncio
import json
from contextlib import aclosing
from datetime import timedelta

import pytest

from aibridged.api.live_feed import (
    EACH_S,
    HEARTBEAT_S,
    LIFETIME_S,
    MAX_BEHIND,
    MAX_SHOWN,
    MAX_WATCHERS,
    MAX_WATCHERS_EACH,
    TICK_S,
    LiveFeed,
)
from aibridged.api.live_others import AT_ONCE
from aibridged.errors import GatewayError
from aibridged.identity.active_requests import ActiveRequests, Listed, LiveRequest, State
from aibridged.identity.base import Actor
from aibridged.transport.time_slices import TimeSlices, Turns

ADMIN = Actor("admin-id", "admin", is_admin=True)
ANN, BOB = Actor("ann-id", "ann"), Actor("bob-id", "bob")


class Request(Listed):
    """A request that runs for a person."""

    def __init__(self, id, actor, model="m-1"):
        self.id, self.actor, self.model = id, actor, model
        self.bytes, self.ended_by, self.is_over = 0, None, False

    def is_called(self, id):
        return id == self.id

    def seen(self, wall, monotonic):
        return LiveRequest(
            id=self.id,
            interception_id=f"i-{self.id}",
            initiator_id=self.actor.id,
            username=self.actor.username,
            api_key_id=None,
            client="Codex",
            session_id=None,
            provider="openai",
            model=self.model,
            route="/responses",
            streamed=True,
            state=State.STREAMING,
            tool=None,
            started_at=wall - timedelta(seconds=monotonic),
            seconds=monotonic,
            first_byte_ms=5,
            bytes=self.bytes,
            input_tokens=1,
            output_tokens=self.bytes // 4,
            tokens_estimated=True,
            ended_by=self.ended_by and self.ended_by.username,
        )

    def end_early(self, by):
        self.ended_by = self.ended_by or by
        return not self.is_over

    def abort(self):
        raise AssertionError("it is ended in order")


@pytest.fixture
def active(clock):
    return ActiveRequests(clock)


@pytest.fixture
def slices(clock):
    return TimeSlices(Turns(clock), clock)


@pytest.fixture
async def feed(active, clock, slices):
    feed = LiveFeed(active, clock, slices, tick=0.001)
    yield feed
    await feed.close()


def start(active, id, actor):
    request = Request(id, actor)
    active.add(actor, None, request)
    return request


async def told(messages):
    """The next message that isn't a heartbeat: its name and data."""
    async with asyncio.timeout(10):
        async for message in messages:
            name, _, data = message.decode().partition("\ndata: ")
            return name.removeprefix("event: "), json.loads(data)
    raise AssertionError("the watch has ended")


async def test_first_what_runs_and_then_what_changes(feed, active):
    request, other = start(active, "1", ANN), start(active, "2", BOB)
    async with aclosing(feed.watch("admin-id", None)) as messages:
        name, data = await told(messages)
        assert (name, data["count"]) == ("snapshot", 2)
        assert [each["id"] for each in data["requests"]] == ["1", "2"]
        request.bytes = 40
        name, data = await told(messages)
        assert name == "changes"
        assert [(each["id"], each["output_tokens"]) for each in data["changed"]] == [("1", 10)]
        active.remove(other)
        assert await told(messages) == ("changes", {"count": 1, "changed": [], "ended": ["2"]})


async def test_a_person_is_told_of_their_own_alone(feed, active):
    start(active, "1", ANN)
    start(active, "2", BOB)
    async with aclosing(feed.watch("ann-id", "ann-id")) as messages:
        _, data = await told(messages)
        assert (data["count"], [each["id"] for each in data["requests"]]) == (1, ["1"])
        start(active, "3", BOB)
        start(active, "4", ANN)
        _, data = await told(messages)
        assert (data["count"], [each["id"] for each in data["changed"]]) == (2, ["4"])


async def test_all_with_the_same_rights_share_a_look(feed, active):
    request = start(active, "1", ANN)
    looks = []
    seen, request.seen = request.seen, lambda *at: looks.append(at) or seen(*at)
    async with aclosing(feed.watch("a", None)) as one, aclosing(feed.watch("b", None)) as two:
        first, second = await told(one), await told(two)
    assert first == second
    assert len(looks) == 1


async def test_a_latecomer_gets_a_snapshot_at_once(feed, active):
    start(active, "1", ANN)
    async with aclosing(feed.watch("a", None)) as one:
        await told(one)
        async with aclosing(feed.watch("b", None)) as two:
            assert (await told(two))[0] == "snapshot"


async def test_without_a_watcher_nothing_is_looked_at(feed, active):
    async with aclosing(feed.watch("a", None)) as messages:
        await told(messages)
    async with asyncio.timeout(10):
        await feed._tasks.idle()
    assert len(feed) == 0


@pytest.mark.parametrize("each", [True, False])
async def test_the_number_of_watchers_is_bounded(feed, each):
    most = MAX_WATCHERS_EACH if each else MAX_WATCHERS
    for number in range(most):
        feed.watch("a" if each else f"{number}", None)
    with pytest.raises(GatewayError) as raised:
        feed.watch("a" if each else "another", None)
    assert raised.value.kind.status == 429


async def test_so_is_what_they_are_shown(feed, active):
    for number in range(MAX_SHOWN + 10):
        start(active, f"{number}", ANN)
    async with aclosing(feed.watch("a", None)) as messages:
        _, data = await told(messages)
    assert data["count"] == MAX_SHOWN + 10
    assert len(data["requests"]) == MAX_SHOWN


async def test_one_that_does_not_read_is_dropped(feed, active):
    request = start(active, "1", ANN)

    async def stuck():
        async for _ in feed.watch("a", None):
            await asyncio.Event().wait()

    reading = asyncio.ensure_future(stuck())  # noqa: TID251
    async with aclosing(feed.watch("b", None)) as messages:
        for number in range(MAX_BEHIND + 3):
            request.bytes = number
            await told(messages)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(reading, 10)
        assert len(feed) == 1


async def test_one_that_is_never_read_cancels_nobody(feed, active):
    request = start(active, "1", ANN)
    feed.watch("a", None)
    async with aclosing(feed.watch("b", None)) as messages:
        for number in range(MAX_BEHIND + 3):
            request.bytes = number
            await told(messages)
        assert len(feed) == 1


async def test_silence_is_broken_now_and_then(feed, active, clock):
    async with aclosing(feed.watch("a", None)) as messages:
        assert (await told(messages))[0] == "snapshot"
        clock.advance(HEARTBEAT_S)
        async with asyncio.timeout(10):
            assert (await anext(messages)).startswith(b":")


async def test_a_watch_ends_after_a_while(feed, clock):
    async with aclosing(feed.watch("a", None)) as messages:
        await told(messages)
        clock.advance(LIFETIME_S)
        async with asyncio.timeout(10):
            assert not [each async for each in messages if not each.startswith(b":")]


async def test_a_shutdown_ends_all(active, clock, slices):
    is_over = False
    feed = LiveFeed(active, clock, slices, lambda: is_over, tick=0.001)
    async with aclosing(feed.watch("a", None)) as messages:
        await told(messages)
        is_over = True
        async with asyncio.timeout(10):
            assert not [each async for each in messages]
    await feed.close()


async def test_a_look_at_many_leaves_the_loop_to_others(active, clock, slices, monkeypatch):
    """Between two lots of requests others come to their turn."""
    for number in range(AT_ONCE * 4):
        start(active, f"{number}", ANN)
    feed = LiveFeed(active, clock, slices)
    steps = sum(1 for _ in feed._tell({None}, ()))
    assert steps >= 4


async def test_many_are_looked_at_less_often(active, clock, slices, monkeypatch):
    """So that watching them takes a bounded share of a core."""
    pauses = []

    async def rest(seconds):
        pauses.append(seconds)
        await turn(0)

    turn = asyncio.sleep
    feed = LiveFeed(active, clock, slices)
    monkeypatch.setattr("aibridged.api.live_feed.asyncio.sleep", rest)
    start(active, "first", ANN)
    messages = feed.watch("ann", None)
    await told(messages)
    for number in range(1999):
        start(active, f"{number}", ANN)
    await told(messages)
    assert TICK_S in pauses
    assert max(pauses) == pytest.approx(2000 * EACH_S)
    await feed.close()
