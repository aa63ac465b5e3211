"""When a session has run away: what counts as a loop, and what doesn't."""

from collections.abc import Sequence

import pytest

from aibridged.config.options import SessionSettings
from aibridged.core.runaway import (
    MAX_AGENTS,
    MAX_BETWEEN,
    SESSION_S,
    Call,
    Session,
    Sessions,
    Sign,
    Turn,
    in_words,
)

NONE = SessionSettings(repeated_calls=None, compactions=None)
CALLS = SessionSettings(repeated_calls=4, compactions=None)
COMPACTIONS = SessionSettings(repeated_calls=None, compactions=3)


class Agent:
    """An agent of a session: it brings the results of its last calls, and makes others."""

    def __init__(self, session: Session, name: str = "a") -> None:
        self.session = session
        self.name = name
        self.turns = 0
        self.pending: Sequence[int] = ()

    def turn(self, *prints: int | None, limits: SessionSettings = CALLS, **rest: bool):
        self.turns += 1
        calls = [Call(hash((self.name, self.turns, n)), each) for n, each in enumerate(prints)]
        told = self.session.observe(
            Turn(0.0, 0, 0, answers=self.pending, calls=calls, **rest), limits, 0.0
        )
        self.pending = [call.id for call in calls]
        return told


@pytest.fixture
def agent() -> Agent:
    return Agent(Session())


def test_the_same_call_as_often_as_the_limit_says_is_told_once(agent):
    assert [agent.turn(7) for _ in range(6)] == [None] * 3 + [Sign.REPEATED_CALLS] + [None] * 2
    assert agent.session.reached(CALLS) is Sign.REPEATED_CALLS


def test_another_call_between_begins_again(agent):
    for fingerprint in (7, 7, 7, 8, 7, 7, 7):
        assert agent.turn(fingerprint) is None
    assert agent.session.reached(CALLS) is None


def test_a_few_calls_in_turn_are_a_loop_too(agent):
    told = [agent.turn(fingerprint) for fingerprint in (1, 2, 3) * 4]
    assert told.index(Sign.REPEATED_CALLS) == 11  # the end of the fourth round


def test_two_calls_in_turn_count_as_one_round(agent):
    told = [agent.turn(fingerprint) for fingerprint in (1, 2) * 4]
    assert told.index(Sign.REPEATED_CALLS) == 7


def test_edits_between_the_same_tests_are_work(agent):
    for number in range(40):
        agent.turn(1000 + number)
        assert agent.turn(7) is None


def test_a_turn_of_several_calls_is_like_one_with_the_same_in_any_order(agent):
    told = [agent.turn(*prints) for prints in ((1, 2), (2, 1), (1, 2), (2, 1))]
    assert told[-1] is Sign.REPEATED_CALLS
    assert Agent(Session()).turn(1, 2, 3, 4) is None


def test_the_same_call_several_times_in_one_turn_counts_each(agent):
    assert agent.turn(7, 7, 7) is None
    assert agent.turn(7) is Sign.REPEATED_CALLS


def test_calls_that_are_not_whole_are_like_no_others(agent):
    assert [agent.turn(None) for _ in range(9)] == [None] * 9
    assert [agent.turn(7, None) for _ in range(9)] == [None] * 9
    for _ in range(3):
        agent.turn(7)
    agent.turn(None)
    assert agent.turn(7) is None


def test_agents_side_by_side_are_told_apart():
    session = Session()
    one, other = Agent(session, "a"), Agent(session, "b")
    # Each does it three times: together that would be six.
    for _ in range(3):
        assert one.turn(7) is None
        assert other.turn(7) is None
    other.turn(8)
    assert one.turn(7) is Sign.REPEATED_CALLS


def test_an_agent_between_doesnt_hide_the_loop_of_another():
    session = Session()
    one, other = Agent(session, "a"), Agent(session, "b")
    for number in range(3):
        one.turn(7)
        other.turn(100 + number)
    assert one.turn(7) is Sign.REPEATED_CALLS


def test_a_persons_words_begin_again(agent):
    for _ in range(3):
        agent.turn(7)
    assert agent.turn(7, steered=True) is None
    assert agent.session.reached(CALLS) is None


def test_waiting_for_what_runs_is_neither_a_loop_nor_the_end_of_one(agent):
    assert [agent.turn(9, waits=True) for _ in range(50)] == [None] * 50
    for _ in range(3):
        agent.turn(7)
        agent.turn(9, waits=True)
    assert agent.turn(7) is Sign.REPEATED_CALLS


def test_the_agents_that_are_told_apart_are_bounded():
    session = Session()
    agents = [Agent(session, f"{number}-") for number in range(MAX_AGENTS + 1)]
    for each in agents:
        for _ in range(3):
            each.turn(7)
    assert len(session._trails) == MAX_AGENTS
    assert agents[0].turn(7) is None  # the oldest was forgotten
    assert agents[-1].turn(7) is Sign.REPEATED_CALLS


def test_one_agent_takes_one_place(agent):
    for number in range(100):
        agent.turn(number)
    assert len(agent.session._trails) == 1
    agent.turn()
    assert not agent.session._trails


def compact(session, *, began=0.0, now=0.0, agent=0):
    return session.observe(Turn(began, 0, 0, agent, compacts=True), COMPACTIONS, now)


def test_compaction_after_compaction(agent):
    told = []
    for number in range(3):
        told.append(compact(agent.session, began=number, now=number + 0.5))
        for turn in range(MAX_BETWEEN):
            agent.turn(turn, limits=COMPACTIONS)
    assert told == [None, None, Sign.COMPACTIONS]


def test_compactions_with_work_between_are_none(agent):
    for number in range(9):
        assert compact(agent.session, began=number, now=number + 0.5) is None
        for turn in range(MAX_BETWEEN + 1):
            agent.turn(turn, limits=COMPACTIONS)


def test_compactions_of_agents_at_the_same_time_are_one():
    session = Session()
    assert [compact(session, began=0.0, now=1.0 + each / 10) for each in range(9)] == [None] * 9


def test_compactions_of_agents_that_have_ids_are_counted_apart():
    session = Session()
    for number in range(2):
        for agent in range(4):
            at = number * 9 + agent
            assert compact(session, began=at, now=at + 0.5, agent=agent) is None
    assert compact(session, began=100.0, now=101.0, agent=3) is Sign.COMPACTIONS


def test_the_agents_whose_compactions_are_counted_are_bounded():
    session = Session()
    for agent in range(3 * MAX_AGENTS):
        compact(session, agent=agent)
    assert len(session._compactions) == MAX_AGENTS


def test_a_person_who_compacts_by_hand_is_no_loop(agent):
    for number in range(9):
        assert compact(agent.session, began=number, now=number + 0.5) is None
        agent.turn(7, limits=COMPACTIONS, steered=True)


def test_what_an_agent_asks_beside_is_no_work(agent):
    for number in range(3):
        compact(agent.session, began=number, now=number + 0.5)
        for _ in range(9):
            agent.session.observe(Turn(0.0, 0, 0), COMPACTIONS, 0.0)
    assert agent.session.reached(COMPACTIONS) is Sign.COMPACTIONS


def spend(session, tokens, now, limits):
    return session.observe(Turn(now, 0, tokens), limits, now)


def test_tokens_within_a_minute():
    limits = SessionSettings(tokens_per_minute=1000)
    session = Session()
    assert spend(session, 600, 30.0, limits) is None
    # Half of the minute before lies within the last one.
    assert spend(session, 600, 90.0, limits) is None
    assert spend(session, 150, 91.0, limits) is Sign.TOKENS_PER_MINUTE
    session = Session()
    for minute in range(100):
        assert spend(session, 500, minute * 60.0 + 1, limits) is None
    assert spend(session, 999, 10_000.0, limits) is None


def test_costs_add_up():
    limits = SessionSettings(max_cost=10)
    session = Session()
    assert session.observe(Turn(0.0, 6, 0), limits, 0.0) is None
    assert session.observe(Turn(0.0, 6, 0), limits, 0.0) is Sign.MAX_COST
    assert session.reached(SessionSettings(max_cost=13)) is None


def test_requests_are_counted_as_they_go():
    limits = SessionSettings(max_requests=2)
    session = Session()
    assert session.admit(limits) is None
    assert session.reached(limits) is None
    assert session.admit(limits) is None
    assert session.reached(limits) is Sign.MAX_REQUESTS
    assert session.admit(limits) is Sign.MAX_REQUESTS
    assert session.reached(NONE) is None


def test_sessions_are_a_persons_own_and_bounded(clock):
    sessions = Sessions(clock, most=3)
    first = sessions.of("ann", "s")
    assert sessions.of("ann", "s") is first
    assert sessions.of("bob", "s") is not first
    for number in range(9):
        sessions.of("ann", f"other-{number}")
    assert len(sessions) == 3
    assert sessions.of("ann", "s") is not first


def test_nobody_has_the_sessions_of_others_forgotten(clock):
    sessions = Sessions(clock, most=10)
    kept = {name: sessions.of(name, "s") for name in ("ann", "bob")}
    for number in range(50):
        sessions.of("eve", f"made-up-{number}")
    assert all(sessions.of(name, "s") is session for name, session in kept.items())
    for number in range(50):
        sessions.of(f"person-{number}", "s")
    assert len(sessions) == len(sessions._people) == 10


def test_a_session_is_forgotten_after_a_day_without_requests(clock):
    sessions = Sessions(clock)
    first = sessions.of("ann", "s")
    for _ in range(3):
        clock.advance(SESSION_S - 1)
        assert sessions.of("ann", "s") is first
    clock.advance(SESSION_S)
    assert sessions.of("ann", "s") is not first


@pytest.mark.parametrize("sign", Sign)
def test_each_sign_is_a_sentence_for_a_header(sign):
    limits = SessionSettings(
        max_cost=25 * 10**9, max_requests=2, repeated_calls=3, compactions=4, tokens_per_minute=5
    )
    words = in_words(sign, limits)
    assert words.isascii()
    assert words.isprintable()
    assert any(number in words for number in ("25", "2", "3", "4", "5"))
