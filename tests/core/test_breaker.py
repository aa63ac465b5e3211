"""The breaker against sony/gobreaker's rules: its case table, a model of it, and what we add."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from msgspec.structs import replace

from aibridged.core.breaker import Admission, BreakerKey, Breakers, Trouble
from aibridged.core.circuit import BreakerSettings, Rejection, State

KEY = BreakerKey("anthropic", "/v1/messages", "claude-sonnet-5", "centralized")

# gobreaker's own defaults: it opens on more than five failures and never clears the count.
PLAIN = BreakerSettings(failure_threshold=6, interval=0, timeout=60, max_requests=1)
CUSTOM = BreakerSettings(failure_threshold=3, interval=30, timeout=90, max_requests=3)

# Each case is a script, read from left to right:
#   ok fail   a request that is admitted and ends at once (ok*5: five in a row)
#   no        a request that is rejected; no:59 also says after how many seconds to retry
#   +59       so many seconds pass
#   closed half-open open    the state now
#   a= b=     a request is admitted and stays in flight under this name
#   a:ok a:fail a:gone       its end (gone: the client left)
CASES = {
    "five failures are too few, and a success ends the row": (
        PLAIN,
        "closed fail*5 closed ok closed fail closed fail*4 closed fail open",
    ),
    "open rejects until the timeout has passed": (
        PLAIN,
        "fail*6 open no:60 no:60 +59 open no:1 +0.5 no:1 +0.5 half-open ok closed",
    ),
    "a failing probe opens for a whole timeout": (
        PLAIN,
        "fail*6 +60 half-open fail open no:60 +59 no +1 half-open ok closed",
    ),
    "after closing, the count starts anew": (PLAIN, "fail*6 +60 ok closed fail*5 closed fail open"),
    "without an interval the count is never cleared": (PLAIN, "fail*5 +100000 closed fail open"),
    "successes in between keep it closed": (
        CUSTOM,
        "ok fail ok fail ok fail ok fail ok fail closed",
    ),
    "the interval clears the count": (CUSTOM, "fail*2 +30 fail closed fail closed fail open"),
    "within the interval the count stays": (CUSTOM, "fail*2 +29 fail open"),
    "the next interval begins where the count was cleared": (
        CUSTOM,
        "ok +30 closed +20 fail*2 +10 fail closed fail*2 open",
    ),
    "the interval begins anew when the circuit closes": (
        CUSTOM,
        "fail*3 +90 ok*2 +29 ok closed fail*2 +29 fail open",
    ),
    "while open or half-open no interval runs": (
        CUSTOM,
        "fail*3 +31 open +59 half-open ok*2 +31 half-open ok closed",
    ),
    "as many successes as probes close it": (
        CUSTOM,
        "fail*3 open +90 half-open ok*2 half-open c= no:1 half-open c:ok closed",
    ),
    "a failure after successes opens it all the same": (
        CUSTOM,
        "fail*3 +90 ok*2 half-open fail open no:90",
    ),
    "successes of an earlier half-open time don't count": (
        CUSTOM,
        "fail*3 +90 ok*2 fail open +90 ok*2 half-open ok closed",
    ),
    "probes in flight take places": (
        CUSTOM,
        "fail*3 +90 a= b= c= no no a:ok no b:ok no c:ok closed ok",
    ),
    "a finished probe gives no place back": (CUSTOM, "fail*3 +90 a= b= ok no:1 half-open"),
    "a cancelled probe gives its place back and counts for nothing": (
        CUSTOM,
        "fail*3 +90 a= b= c= no a:gone half-open d= no b:ok c:ok half-open d:ok closed",
    ),
    "a probe cancelled again and again never closes it": (
        PLAIN,
        "fail*6 +60 a= a:gone b= b:gone c= c:gone half-open d= no d:ok closed",
    ),
    "a request cancelled while closed leaves the row of failures as it is": (
        CUSTOM,
        "fail*2 a= a:gone fail open",
    ),
    "a success from before the clearing is ignored": (
        CUSTOM,
        "ok +29 a= +1 closed fail*2 a:ok fail open",
    ),
    "a failure from before the clearing is ignored": (CUSTOM, "a= +30 fail*2 a:fail closed"),
    "the clearing is due even where the late result is the first to come": (
        CUSTOM,
        "fail*2 a= +30 a:fail closed fail*2 closed fail open",
    ),
    "a failure from the closed time doesn't prolong the open time": (
        CUSTOM,
        "a= fail*3 open +60 a:fail no:30",
    ),
    "a success from the closed time neither closes it nor is a probe's": (
        CUSTOM,
        "a= b= c= fail*3 a:ok open +90 half-open b:ok c:ok half-open ok*2 half-open ok closed",
    ),
    "a failure from the closed time doesn't fail the probes": (
        CUSTOM,
        "a= fail*3 +90 half-open a:fail half-open ok*3 closed",
    ),
    "a request from the closed time, cancelled at half-open, makes no extra place": (
        CUSTOM,
        "a= fail*3 +90 b= c= d= a:gone no",
    ),
    "a probe from an earlier half-open time is ignored in the next": (
        CUSTOM,
        "fail*3 +90 a= b= fail open +90 half-open a:fail half-open b:gone c= d= e= no",
    ),
    "a probe that ends after the circuit closed is ignored": (
        replace(CUSTOM, max_requests=2),
        "fail*3 +90 a= a:gone b= c= b:ok c:ok closed fail*2 closed fail open",
    ),
}


class Script:
    """Runs a case's script against one circuit."""

    def __init__(self, settings: BreakerSettings, clock) -> None:
        self.clock = clock
        self.breakers = Breakers(settings, clock, lambda *_: None)
        self.in_flight: dict[str, Admission] = {}

    def run(self, text: str) -> None:
        for step in text.split():
            word, _, times = step.partition("*")
            for _ in range(int(times or 1)):
                self.step(word)

    def step(self, word: str) -> None:
        if word in {"closed", "half-open", "open"}:
            # A circuit is made by its first request.
            state = self.breakers.states().get(KEY, State.CLOSED)
            assert state.value == word
        elif word in {"ok", "fail"}:
            self.end(self.admitted(), word)
        elif word.startswith("+"):
            self.clock.advance(float(word[1:]))
        elif word.endswith("="):
            self.in_flight[word[:-1]] = self.admitted()
        elif word.startswith("no"):
            rejection = self.breakers.admit(KEY)
            assert isinstance(rejection, Rejection)
            if ":" in word:
                assert rejection.retry_after == int(word[3:])
        else:
            name, end = word.split(":")
            self.end(self.in_flight.pop(name), end)

    def admitted(self) -> Admission:
        admission = self.breakers.admit(KEY)
        assert isinstance(admission, Admission)
        return admission

    @staticmethod
    def end(admission: Admission, end: str) -> None:
        {"ok": admission.success, "fail": admission.failure, "gone": admission.cancelled}[end]()


@pytest.mark.parametrize(("settings", "script"), CASES.values(), ids=CASES.keys())
def test_gobreakers_case_table(settings, script, clock):
    Script(settings, clock).run(script)


async def test_of_500_at_once_at_half_open_only_max_requests_are_admitted(clock):
    script = Script(CUSTOM, clock)
    script.run("fail*3 +90 half-open")
    everyone_asked = asyncio.Barrier(500)
    decisions: list[Admission | Rejection] = []

    async def request() -> None:
        decision = script.breakers.admit(KEY)
        decisions.append(decision)
        await everyone_asked.wait()
        if isinstance(decision, Admission):
            decision.success()

    async with asyncio.TaskGroup() as group:
        for _ in range(500):
            group.create_task(request())

    assert sum(isinstance(decision, Admission) for decision in decisions) == 3
    assert {d.retry_after for d in decisions if isinstance(d, Rejection)} == {1}
    script.run("closed")


@pytest.mark.parametrize("first", ["ok", "fail", "gone"])
@pytest.mark.parametrize("later", ["ok", "fail", "gone"])
def test_the_first_word_about_a_probe_counts(first, later, clock):
    said_once, said_twice = Script(CUSTOM, clock), Script(CUSTOM, clock)
    for script in (said_once, said_twice):
        script.run("fail*3")
    clock.advance(90)
    for script in (said_once, said_twice):
        probe = script.admitted()
        script.end(probe, first)
        if script is said_twice:
            script.end(probe, later)
    outcomes = [tail(script) for script in (said_once, said_twice)]
    assert outcomes[0] == outcomes[1]


def tail(script: Script) -> list[str]:
    """How the circuit goes on from here, with as many successes as it takes."""
    seen = []
    for _ in range(5):
        decision = script.breakers.admit(KEY)
        if isinstance(decision, Admission):
            decision.success()
        seen.append(f"{type(decision).__name__} {script.breakers.states()[KEY].value}")
    return seen


def test_retry_after_is_in_whole_seconds_and_enough(clock):
    script = Script(replace(CUSTOM, timeout=2.5), clock)
    script.run("fail*3 no:3 +1 no:2 +1.4 no:1 +1 half-open")


@pytest.mark.parametrize("uptime", [0.1, 0.4, 12345.678])
def test_retry_after_is_exact_at_any_uptime(uptime, clock):
    clock.advance(uptime)
    Script(replace(CUSTOM, timeout=30), clock).run("fail*3 no:30")


def test_state_changes_are_told_in_order(clock):
    told = []
    breakers = Breakers(PLAIN, clock, lambda *change: told.append(change))

    def tell(word: str, times: int = 1) -> None:
        for _ in range(times):
            Script.end(breakers.admit(KEY), word)

    tell("fail", 6)
    assert told == [(KEY, State.CLOSED, State.OPEN)]
    clock.advance(60)
    tell("fail")
    assert told[1:] == [
        (KEY, State.OPEN, State.HALF_OPEN),
        (KEY, State.HALF_OPEN, State.OPEN),
    ]
    clock.advance(60)
    tell("ok")
    assert told[3:] == [
        (KEY, State.OPEN, State.HALF_OPEN),
        (KEY, State.HALF_OPEN, State.CLOSED),
    ]


def test_clearing_the_count_is_no_change_of_state(clock):
    told = []
    breakers = Breakers(CUSTOM, clock, lambda *change: told.append(change))
    for _ in range(3):
        breakers.admit(KEY).failure()
        clock.advance(30)
    assert told == []


def test_states_shows_half_open_once_the_timeout_has_passed(clock):
    script = Script(PLAIN, clock)
    script.run("fail*6")
    assert [state.level for state in script.breakers.states().values()] == [1.0]
    clock.advance(60)
    assert [state.level for state in script.breakers.states().values()] == [0.5]
    script.run("ok")
    assert [state.level for state in script.breakers.states().values()] == [0.0]


def troubles(breakers: Breakers) -> list[Trouble]:
    steps = breakers.troubles()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_troubles_are_failures_so_far_and_circuits_that_are_not_closed(clock):
    script = Script(replace(CUSTOM, timeout=30), clock)
    script.run("ok")
    assert troubles(script.breakers) == []
    script.run("fail*2")
    assert troubles(script.breakers) == [Trouble(KEY, State.CLOSED, 2, None)]
    script.run("fail +10")
    (opened,) = troubles(script.breakers)
    assert (opened.state, opened.failures, opened.retry_in) == (State.OPEN, 3, 20)
    clock.advance(20)
    assert [each.state for each in troubles(script.breakers)] == [State.HALF_OPEN]
    clock.advance(30)
    assert troubles(script.breakers) == [], "without requests it is forgotten, as in `states`"


def test_troubles_are_found_in_steps(clock):
    breakers = Breakers(PLAIN, clock, lambda *_: None)
    for key in keys(1000):
        breakers.admit(key).failure()
    assert len(list(breakers.troubles())) == 50
    assert len(troubles(breakers)) == 1000


@pytest.mark.parametrize("part", BreakerKey._fields)
def test_each_part_of_the_key_has_circuits_of_its_own(part, clock):
    script = Script(PLAIN, clock)
    script.run("fail*6 open")
    other = KEY._replace(**{part: "other"})
    assert isinstance(script.breakers.admit(other), Admission)
    assert isinstance(script.breakers.admit(KEY), Rejection)
    assert script.breakers.states() == {KEY: State.OPEN, other: State.CLOSED}


def keys(count: int) -> list[BreakerKey]:
    return [KEY._replace(model=f"model-{number}") for number in range(count)]


def test_the_number_of_circuits_is_bounded(clock):
    breakers = Breakers(PLAIN, clock, lambda *_: None, max_items=10)
    for key in keys(100):
        breakers.admit(key).success()
    assert list(breakers.states()) == keys(100)[90:]


def test_the_length_of_a_remembered_model_name_is_bounded(clock):
    breakers = Breakers(PLAIN, clock, lambda *_: None)
    for end in ("a", "b"):
        breakers.admit(KEY._replace(model="m" * 200 + end))
    assert list(breakers.states()) == [KEY._replace(model="m" * 200)]


def test_a_forgotten_open_circuit_starts_anew_as_a_closed_one(clock):
    breakers = Breakers(PLAIN, clock, lambda *_: None, max_items=2)
    first, second, third = keys(3)
    for _ in range(6):
        breakers.admit(first).failure()
    breakers.admit(second)
    breakers.admit(third)
    assert isinstance(breakers.admit(first), Admission)
    assert breakers.states()[first] is State.CLOSED


def test_a_circuit_in_use_is_not_the_one_that_is_forgotten(clock):
    breakers = Breakers(PLAIN, clock, lambda *_: None, max_items=2)
    first, second, third = keys(3)
    for _ in range(6):
        breakers.admit(first).failure()
    breakers.admit(second)
    breakers.admit(first)
    # Reading the states is no use: after it, `second` is still the one to go.
    breakers.states()
    breakers.admit(third)
    assert breakers.states() == {first: State.OPEN, third: State.CLOSED}


@pytest.mark.parametrize("end", ["ok", "fail", "gone"])
def test_probes_of_a_forgotten_circuit_change_nothing_in_the_new_one(end, clock):
    breakers = Breakers(replace(CUSTOM, failure_threshold=1), clock, lambda *_: None, max_items=1)
    first, second = keys(2)
    breakers.admit(first).failure()
    clock.advance(90)
    probes = [breakers.admit(first) for _ in range(3)]
    breakers.admit(second)
    breakers.admit(first).success()
    for probe in probes:
        Script.end(probe, end)
    assert breakers.states() == {first: State.CLOSED}


def test_a_half_open_circuit_that_nobody_asks_is_shown_for_another_timeout_only(clock):
    script = Script(CUSTOM, clock)
    script.run("fail*3 +90 half-open +89")
    assert script.breakers.states() == {KEY: State.HALF_OPEN}
    clock.advance(1)
    assert script.breakers.states() == {}
    # It is as it was all the same: a request is a probe, and is waited for however long it takes.
    script.run("a= +90 half-open b= c= no a:ok b:ok +89 half-open c:gone")
    clock.advance(90)
    assert script.breakers.states() == {}
    script.run("fail open no:90")


class Model:
    """The rules once more, as plainly as they can be put, for one circuit."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.rules = settings
        self.generation = 0
        self.enter("closed", now=0)

    def enter(self, state: str, now: float) -> None:
        self.state, self.since = state, now
        self.generation += 1
        self.admitted = self.failures = self.successes = 0

    def tick(self, now: float) -> None:
        rules, age = self.rules, now - self.since
        if self.state == "closed" and rules.interval and age >= rules.interval:
            self.enter("closed", now)
        elif self.state == "open" and age >= rules.timeout:
            self.enter("half-open", now)

    def admit(self, now: float) -> int | None:
        """The generation of the admission, or None."""
        self.tick(now)
        full = self.state == "half-open" and self.admitted >= self.rules.max_requests
        if self.state == "open" or full:
            return None
        self.admitted += 1
        return self.generation

    def end(self, generation: int, end: str, now: float) -> None:
        self.tick(now)
        if generation != self.generation:
            return
        if end == "gone":
            self.admitted -= 1
        elif end == "ok":
            self.failures, self.successes = 0, self.successes + 1
            if self.state == "half-open" and self.successes >= self.rules.max_requests:
                self.enter("closed", now)
        else:
            self.failures += 1
            if self.state == "half-open" or self.failures >= self.rules.failure_threshold:
                self.enter("open", now)


RULES = st.builds(
    BreakerSettings,
    failure_threshold=st.integers(1, 3),
    interval=st.sampled_from([0, 4]),
    timeout=st.sampled_from([2, 7]),
    max_requests=st.integers(1, 3),
)
STEPS = st.lists(
    st.one_of(
        st.just(("admit",)),
        # Which of the requests in flight ends, oldest first.
        st.tuples(st.sampled_from(["ok", "fail", "fail", "gone"]), st.integers(0, 5)),
        st.tuples(st.just("pass"), st.integers(1, 5)),
    ),
    max_size=60,
)


@limits(deadline=None)
@given(settings=RULES, steps=STEPS)
def test_any_course_of_events_goes_as_in_the_model(settings, steps):
    clock = ModelClock()
    breakers, model = Breakers(settings, clock, lambda *_: None), Model(settings)
    in_flight: list[tuple[Admission, int]] = []
    for word, *rest in steps:
        if word == "pass":
            clock.now += rest[0]
        elif word == "admit":
            decision, expected = breakers.admit(KEY), model.admit(clock.now)
            assert isinstance(decision, Admission) == (expected is not None)
            if isinstance(decision, Admission):
                in_flight.append((decision, expected))
            elif model.state == "open":
                left = model.since + settings.timeout - clock.now
                assert decision.retry_after == math.ceil(left)
        elif in_flight:
            admission, generation = in_flight.pop(rest[0] % len(in_flight))
            Script.end(admission, word)
            model.end(generation, word, clock.now)
        # The circuit is made by the first request, and the first interval begins with it.
        if not breakers._circuits:
            model = Model(settings)
            model.since = clock.now
        model.tick(clock.now)
        # One that is half-open, and not asked, is left out in the end.
        left_out = State.HALF_OPEN if breakers._circuits else State.CLOSED
        assert breakers.states().get(KEY, left_out).value == model.state


class ModelClock:
    """Whole seconds from zero, one for each example that Hypothesis runs."""

    def __init__(self) -> None:
        self.now = 0

    def monotonic(self) -> float:
        return self.now
