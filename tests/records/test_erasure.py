"""A person's records go, and what counts requests and tokens stays, without the person."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from aibridged.core.budget_alerts import Alert
from aibridged.core.budgets import Check, user_subject
from aibridged.records import refusals, schema
from aibridged.records.budget_alerts import AlertStore
from aibridged.records.database import DatabaseError
from aibridged.records.erasure import ERASED_ID, ERASED_NAME, KEPT, Erasure
from aibridged.records.facts import (
    InterceptionEnd,
    ModelThoughtRecord,
    Outcome,
    Reservation,
    StoredObjectRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.pacing import Pace
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.usual_costs import UsualCosts
from tests.viewers import EVERYTHING

ALICE = "00000000-0000-4000-8000-00000000000a"
BOB = "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def meanwhile():
    """What happens in each pause."""
    return []


@pytest.fixture
def erasure(database, clock, pauses, meanwhile):
    def sleep(seconds):
        pauses.append(seconds)
        clock.advance(seconds)
        for happen in meanwhile:
            happen()

    return Erasure(database.engine, clock, Pace(clock), sleep)


@pytest.fixture
def record(add, store, clock, database):
    """Records of both: a session each, with a thought, a stored object, and refusals."""

    def record(count=3):
        for number in range(count):
            for initiator, username in ((ALICE, "alice"), (BOB, "bob")):
                id = add(
                    initiator_id=initiator,
                    username=username,
                    client_session_id=f"session of {username}",
                    user_agent=f"agent of {username}",
                    api_key_id=f"key of {username}",
                    credential_hint=f"hint {username}",
                    metadata={"note": f"note of {username}"},
                    call=f"call-{number}",
                )
                own = {"interception_id": id, "created_at": clock.wall()}
                store.write(
                    [],
                    [
                        InterceptionEnd(
                            interception_id=id,
                            ended_at=clock.wall(),
                            outcome=Outcome.COMPLETED,
                            cost_nanos=7,
                            cost_label="exact",
                        ),
                        ModelThoughtRecord(id=uuid7(clock.wall()), content="hm", **own),
                        StoredObjectRecord(
                            provider_name="openai",
                            object_id=f"resp_{username}_{number}",
                            initiator_id=initiator,
                            **own,
                        ),
                    ],
                )
                refused = (clock.wall().date(), initiator, f"reason-{number}")
                refusals.add(database.engine, {refused: 1})
            clock.advance(1)

    return record


def by_user(database, clock):
    """The report by user: requests and tokens."""
    return {
        row.key: (row.interceptions, row.input_tokens)
        for row in Query(database.engine, clock, EVERYTHING).usage([UsageBy.USER], Filter())
    }


def test_what_is_counted_stays_and_all_else_goes(database, erasure, record, clock):
    record()
    before = {row["id"]: row for row in database.rows(schema.interceptions, initiator_id=ALICE)}
    bobs = database.rows(schema.interceptions, initiator_id=BOB)
    assert erasure.initiators("alice") == [ALICE]
    assert erasure.count(ALICE) == (3, 3, 3, 3, 3, 3, 0)
    erasure.erase(ALICE, 0, 60)
    assert not erasure.count(ALICE).any
    assert erasure.initiators("alice") == []
    left = database.rows(schema.interceptions, initiator_id=ERASED_ID)
    assert len(left) == 3
    assert not {row["id"] for row in left} & before.keys(), "what was logged leads to them"
    kept = [{name: row[name] for name in KEPT} for row in before.values()]
    assert [{name: row[name] for name in KEPT} for row in left] == kept
    others = [
        {
            name: value
            for name, value in row.items()
            if name not in (*KEPT, "id", "session_id", "client_session_id") and value
        }
        for row in left
    ]
    assert others == [{"initiator_id": ERASED_ID, "username": ERASED_NAME}] * 3
    assert len({row["session_id"] for row in left}) == 1, "sessions stay together"
    assert [
        row for row in database.rows(schema.interceptions) if row["initiator_id"] == BOB
    ] == bobs
    for table in (schema.user_prompts, schema.tool_usages, schema.model_thoughts):
        found = {row["interception_id"] for row in database.rows(table)}
        assert found == {row["id"] for row in bobs}
    assert {row["initiator_id"] for row in database.rows(schema.stored_objects)} == {BOB}
    assert {row["user_id"] for row in database.rows(schema.refusals)} == {BOB}
    assert {row["subject"] for row in database.rows(schema.spend)} == {f"user:{BOB}"}
    assert {row["provider_response_id"] for row in database.rows(schema.token_usages)} == {""}


def test_reports_count_what_they_counted_before(database, erasure, record, clock):
    record()
    before = by_user(database, clock)
    erasure.erase(ALICE, 0, 60)
    after = by_user(database, clock)
    assert after == {"bob": before["bob"], ERASED_NAME: before["alice"]}


def test_it_goes_in_small_batches_with_pauses(database, erasure, record, pauses, monkeypatch):
    record(30)
    sizes = []
    batch = erasure._erase_some

    def counted(connection, initiator):
        before = connection.scalar(_count(ALICE))
        more = batch(connection, initiator)
        sizes.append(before - connection.scalar(_count(ALICE)))
        return more

    monkeypatch.setattr(erasure, "_erase_some", counted)
    erasure.erase(ALICE, 0, 60)
    assert sum(sizes) == 30
    assert sizes[0] == 5
    assert len([pause for pause in pauses if pause > 0]) >= len(sizes) - 1


def _count(initiator):
    table = schema.interceptions
    return sa.select(sa.func.count()).select_from(table).where(table.c.initiator_id == initiator)


def test_open_requests_are_waited_for(erasure, add, store, clock, pauses, meanwhile):
    id = add(ended=False, initiator_id=ALICE, username="alice")
    own = {"interception_id": id}

    def end():
        if len(pauses) == 5:
            prompt = UserPromptRecord(
                id=uuid7(clock.wall()), created_at=clock.wall(), prompt="late", **own
            )
            ended = InterceptionEnd(ended_at=clock.wall(), outcome=Outcome.COMPLETED, **own)
            store.write([], [prompt, ended])

    meanwhile.append(end)
    erasure.erase(ALICE, 0, 60)
    assert not erasure.count(ALICE).any


def test_what_their_sessions_usually_cost_goes_and_isnt_computed_again(
    database, erasure, add, clock, monkeypatch
):
    for initiator in (ALICE, BOB):
        add(initiator_id=initiator, username="x", cost=(5, "exact"))
    costs = UsualCosts(database.engine, clock)
    costs.go_on()
    assert len(database.rows(schema.usual_costs)) == 2
    write = costs._write

    def erase_first(*args):  # between what was read and what is written
        erasure.erase(ALICE, 0, 60)
        assert [row["initiator_id"] for row in database.rows(schema.usual_costs)] == [BOB]
        write(*args)

    monkeypatch.setattr(costs, "_write", erase_first)
    costs.go_on()
    assert [row["initiator_id"] for row in database.rows(schema.usual_costs)] == [BOB]


def test_what_stays_open_is_left_whole(erasure, record, add, clock):
    record()
    add(ended=False, initiator_id=ALICE, username="alice")
    began = clock.monotonic()
    erasure.erase(ALICE, 0, 5)
    assert 5 <= clock.monotonic() - began < 8
    assert erasure.count(ALICE) == (1, 1, 0, 0, 0, 0, 1)
    assert erasure.initiators("alice") == [ALICE], "it can be erased later"


def test_what_stays_open_keeps_its_reservation(database, erasure, store, new_start, clock):
    subject = user_subject(ALICE)
    reserved = Reservation(amount=5, checks=(Check(subject, clock.wall().date(), 100),))
    begun = [new_start(initiator_id=ALICE, reservation=reserved) for _ in range(2)]
    store.write(begun, [])
    ends = [
        InterceptionEnd(
            interception_id=start.id,
            ended_at=start.started_at,
            outcome=Outcome.COMPLETED,
            cost_nanos=3,
            cost_label="exact",
        )
        for start in begun
    ]
    store.write([], ends[:1])
    erasure.erase(ALICE, 0, 5)
    spent = database.row(schema.spend, subject=subject)
    assert (spent["spent_nanos"], spent["reserved_nanos"]) == (0, 5)
    store.write([], ends[1:])
    spent = database.row(schema.spend, subject=subject)
    assert (spent["spent_nanos"], spent["reserved_nanos"]) == (3, 0)
    erasure.erase(ALICE, 0, 5)
    assert database.rows(schema.spend, subject=subject) == []


def test_it_goes_on_for_what_a_daemon_still_admits(erasure, clock, add, meanwhile):
    began = clock.monotonic()

    def admit():
        if clock.monotonic() - began < 5:
            add(initiator_id=ALICE, username="alice")

    meanwhile.append(admit)
    erasure.erase(ALICE, 8, 60)
    assert not erasure.count(ALICE).any
    assert clock.monotonic() - began >= 8


async def test_facts_that_come_late_are_gone_and_not_lost(
    database, make_recorder, record, erasure, new_facts, messages
):
    record(1)
    [old] = database.rows(schema.interceptions, initiator_id=ALICE)
    recorder = await make_recorder(database)
    erasure.erase(ALICE, 0, 60)
    counts = database.counts()
    recorder.record(*new_facts(str(old["id"])))
    await recorder.close()
    assert database.counts() == counts
    assert recorder.stats.records_lost == 0
    assert "lost" not in messages()


def test_many_stored_objects_of_one_instant_go(database, erasure, store, clock):
    store.write(
        [],
        [
            StoredObjectRecord(
                provider_name="openai",
                object_id=f"resp_{number}",
                initiator_id=ALICE,
                created_at=clock.wall() + timedelta(seconds=number // 450),
            )
            for number in range(901)
        ],
    )
    erasure.erase(ALICE, 0, 60)
    assert database.rows(schema.stored_objects) == []


def test_those_who_are_erased_have_no_name(erasure, record):
    record()
    erasure.erase(ALICE, 0, 60)
    assert erasure.initiators(ERASED_NAME) == []
    assert erasure.initiators(ERASED_ID) == []


def test_errors_quote_nothing(sqlite_database, clock):
    with sqlite_database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE aibridge_user_prompts")
    erasure = Erasure(sqlite_database.engine, clock, Pace(clock), clock.advance)
    with pytest.raises(DatabaseError) as raised:
        erasure.count("secret-id")
    assert "secret-id" not in str(raised.value)


def test_budget_alerts_go_too(database, erasure, clock):
    alerts = AlertStore(database.engine)
    for initiator in (ALICE, BOB):
        today, now = clock.wall().date(), clock.wall()
        alerts.reach(Alert("spl_1", f"user:{initiator}", today, 80, now, 8, 10), [50], None)
    erasure.erase(ALICE, 0, 60)
    assert {row["subject"] for row in database.rows(schema.budget_alerts)} == {f"user:{BOB}"}
