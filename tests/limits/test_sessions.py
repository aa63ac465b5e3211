from aibridged.config.options import SessionSettings
from aibridged.core.runaway import (
    MAX_AGENTS,
    MAX_DUMP,
    SESSION_S,
    Call,
    Session,
    Sign,
    Turn,
)
from aibridged.limits.region import WAYS

REQUESTS = SessionSettings(max_requests=3)
CALLS = SessionSettings(repeated_calls=4)


def test_requests_of_a_session_count_whichever_workers_they_go_to(attach):
    one, other = (attach(slot).sessions() for slot in range(2))
    signs = [each.of("ann", "s").admit(REQUESTS) for each in (one, other) * 3]
    assert signs == [None] * 3 + [Sign.MAX_REQUESTS] * 3
    assert one.of("ann", "t").admit(REQUESTS) is None
    assert one.of("bob", "s").admit(REQUESTS) is None
    assert len(other) == 3


def test_a_loop_is_seen_whichever_workers_its_turns_go_to(attach):
    sessions = [attach(slot).sessions() for slot in range(3)]
    told = []
    for number in range(6):
        each = sessions[number % 3]
        calls = [Call(each.mark(f"call {number}"), each.mark("ls"))]
        answers = [each.mark(f"call {number - 1}")] if number else []
        turn = Turn(0.0, 5, 7, answers=answers, calls=calls)
        told.append(each.of("ann", "s").observe(turn, CALLS, 100.0))
    assert told == [*[None] * 3, Sign.REPEATED_CALLS, None, None], "it is told once"


def test_a_session_is_forgotten_after_a_day(attach, clock):
    sessions = attach(0).sessions()
    for _ in range(3):
        sessions.of("ann", "s").admit(REQUESTS)
    clock.advance(SESSION_S - 1)
    assert sessions.of("ann", "s").admit(REQUESTS) is Sign.MAX_REQUESTS
    clock.advance(SESSION_S)
    assert sessions.of("ann", "s").admit(REQUESTS) is None


def test_no_one_has_the_sessions_of_others_forgotten_by_making_up_ids(attach, clock, monkeypatch):
    monkeypatch.setattr(
        "aibridged.limits.sessions.digest",
        lambda key, purpose=b"": (bytes(4) if purpose else key[:4].rjust(4)) + key[:12].rjust(12),
    )
    sessions = attach(0).sessions()
    for person in ("ann", "bob"):
        for _ in range(3):
            sessions.of(person, "s").admit(REQUESTS)
    for number in range(3 * WAYS):
        clock.advance(1)
        sessions.of("eve", f"{number}").admit(REQUESTS)
    for person in ("ann", "bob"):
        assert sessions.of(person, "s").admit(REQUESTS) is Sign.MAX_REQUESTS
    assert len(sessions) == WAYS


def test_while_the_lock_is_busy_a_session_is_as_it_was_and_counted_later(attach, region):
    sessions = attach(0).sessions()
    for _ in range(3):
        sessions.of("ann", "s").admit(REQUESTS)
    for number in range(region.layout.locks.count):
        region.locks.take(number)
    assert sessions.of("ann", "s").admit(REQUESTS) is Sign.MAX_REQUESTS
    ends = SessionSettings(ends=True, max_requests=2)
    signs = [sessions.of("ann", "new").admit(ends) for _ in range(3)]
    assert signs == [None, None, Sign.MAX_REQUESTS], "what is to be counted counts here"
    for number in range(region.layout.locks.count):
        region.locks.give(number)
    assert sessions.of("ann", "new").admit(REQUESTS) is None
    assert sessions.of("ann", "new").admit(REQUESTS) is Sign.MAX_REQUESTS


def test_the_longest_dump_has_room():
    session, most = Session(), 1 << 62
    for number in range(2 * MAX_AGENTS):
        agent, at = -most - 10 * number, 100.0 + number
        session.observe(Turn(at, most, most, agent, compacts=True), CALLS, at)
        for turn in range(3):
            calls = [Call(agent - turn, -2 * most + turn)]
            session.observe(Turn(at, 0, 0, agent, (agent - turn + 1,), calls), CALLS, at)
    dump = session.dump()
    assert MAX_DUMP / 2 < len(dump) < MAX_DUMP
    again = Session()
    again.load(dump)
    assert again.dump() == dump
