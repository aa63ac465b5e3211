"""The ledger: reserved at the start, charged at the end, released whatever becomes of a daemon."""

import random
import threading
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from aibridged.core.budgets import Period
from aibridged.records import ledger, schema
from aibridged.records.facts import (
    BackgroundRecord,
    Check,
    InterceptionEnd,
    Outcome,
    Reservation,
    TokenUsageRecord,
    refused_end,
)
from aibridged.records.jobs import BudgetExceededError
from aibridged.records.store import RowRefusedError, Store

ANN = "00000000-0000-4000-8000-000000000001"
USER = f"user:{ANN}"
LATE = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)  # a Saturday, and the end of a month
TODAY = date(2026, 1, 1)


def reservation(amount, cap, *, subject=USER, since=TODAY, charged_to=()):
    return Reservation(
        amount=amount, checks=(Check(subject, since, cap),), charged_to=tuple(charged_to)
    )


def end(start, cost=None, label="exact", at=None):
    return InterceptionEnd(
        interception_id=start.id,
        ended_at=at or start.started_at,
        outcome=Outcome.COMPLETED,
        cost_nanos=cost,
        cost_label=None if cost is None else label,
    )


def told(start, status, cost=None):
    is_last = status not in ("queued", "in_progress")
    return BackgroundRecord(
        interception_id=start.id,
        status=status,
        outcome=Outcome.COMPLETED if is_last else None,
        cost_nanos=cost,
        cost_label=None if cost is None else "exact",
    )


@pytest.fixture
def counters(database):
    """What is spent and reserved, by subject and day."""

    def read():
        return {
            (row["subject"], row["day"].isoformat()): (row["spent_nanos"], row["reserved_nanos"])
            for row in database.rows(schema.spend)
        }

    return read


@pytest.fixture
def total(counters):
    """The sums of what a subject has spent and reserved."""

    def read(subject=USER):
        found = [counts for (of, _), counts in counters().items() if of == subject]
        return tuple(map(sum, zip(*found, strict=True))) if found else (0, 0)

    return read


def is_refused(admission):
    return isinstance(admission, BudgetExceededError)


def test_a_start_reserves_and_its_end_charges(database, store, new_start, counters):
    start = new_start(reservation=reservation(300, 1000))
    assert store.write([start], []) == {start.id: (0,)}
    assert database.row(schema.interceptions)["reserved_nanos"] == 300
    assert counters() == {(USER, "2026-01-01"): (0, 300)}
    for _ in range(2):  # an end may be written again
        store.write([], [end(start, 120)])
        assert counters() == {(USER, "2026-01-01"): (120, 0)}
    row = database.row(schema.interceptions)
    assert (row["cost_nanos"], row["cost_label"], row["reserved_nanos"]) == (120, "exact", None)


def test_only_as_many_are_admitted_as_there_is_room_for(store, new_start, total, database):
    """Within one transaction, and over several."""
    starts = [new_start(reservation=reservation(300, 1000)) for _ in range(10)]
    admissions = store.write(starts, [])
    assert [is_refused(admissions[start.id]) for start in starts] == [False] * 3 + [True] * 7
    assert [admissions[start.id] for start in starts[:3]] == [(0,), (300,), (600,)]
    assert admissions[starts[9].id].used == (900,)
    assert database.counts()["aibridge_interceptions"] == 3
    late = new_start(reservation=reservation(101, 1000))
    small = new_start(reservation=reservation(100, 1000))
    admissions = store.write([late, small], [])
    assert is_refused(admissions[late.id])
    assert admissions[small.id] == (900,)
    assert total() == (0, 1000)
    free = new_start(reservation=reservation(0, 1000))
    assert is_refused(store.write([free], [])[free.id])  # the cap is reached


def test_a_cap_of_nothing_admits_nothing(store, new_start):
    start = new_start(reservation=reservation(0, 0))
    assert is_refused(store.write([start], [])[start.id])


def test_the_room_that_an_end_leaves_is_there_for_the_next(store, new_start, total):
    first, second = (new_start(reservation=reservation(900, 1000)) for _ in range(2))
    assert is_refused(store.write([first, second], [])[second.id])
    store.write([], [end(first, 100)])
    assert store.write([second], []) == {second.id: (100,)}
    assert total() == (100, 900)


@pytest.mark.parametrize("is_refused_by", [0, 1])
def test_every_check_has_to_allow_for_it(store, new_start, counters, is_refused_by):
    caps = [1000, 1000]
    caps[is_refused_by] = 299
    checks = (Check(USER, TODAY, caps[0]), Check("token:t", TODAY, caps[1]))
    start = new_start(
        reservation=Reservation(amount=300, checks=checks, charged_to=("token:t", "group_pool:g"))
    )
    assert is_refused(store.write([start], [])[start.id])
    assert counters() == {}


def test_it_is_charged_to_its_user_token_and_pools(database, store, new_start, total):
    charged_to = ("token:t", "group_pool:g")
    start = new_start(reservation=reservation(300, 1000, subject="token:t", charged_to=charged_to))
    store.write([start], [])
    assert database.row(schema.interceptions)["charged_to"] == "token:t group_pool:g"
    assert [total(subject) for subject in (USER, *charged_to)] == [(0, 300)] * 3
    store.write([], [end(start, 7)])
    assert [total(subject) for subject in (USER, *charged_to)] == [(7, 0)] * 3


def test_without_limits_the_end_alone_counts(database, store, new_start, counters):
    start = new_start()
    assert store.write([start], []) == {}
    assert counters() == {}
    row = database.row(schema.interceptions)
    assert row["reserved_nanos"] is row["charged_to"] is None
    store.write([], [end(start, 7)])
    assert counters() == {(USER, "2026-01-01"): (7, 0)}


def test_an_end_that_comes_twice_is_charged_by_its_difference(store, new_start, counters):
    start, other = new_start(), new_start()
    store.write([start, other], [])
    store.write([], [end(start, 7), end(other, 30), end(start, 9)])
    assert counters() == {(USER, "2026-01-01"): (39, 0)}


def test_what_has_no_cost_counts_for_nothing(store, new_start, counters):
    start = new_start()
    store.write([start], [end(start)])
    assert counters() == {}


def test_a_callers_own_key_counts_for_nobody(store, new_start, counters):
    start = new_start(credential_kind="byok")
    store.write([start], [end(start, 7)])
    assert counters() == {}


def test_the_start_and_the_end_of_a_request_may_come_together(store, new_start, total):
    start = new_start(reservation=reservation(300, 1000, charged_to=["token:t"]))
    for _ in range(2):
        store.write([start], [end(start, 7)])
        assert total() == total("token:t") == (7, 0)
    store.write([], [end(start, 9)])
    assert total() == total("token:t") == (9, 0)


def test_the_end_of_a_start_that_was_refused_changes_nothing(store, new_start, counters):
    start = new_start(reservation=reservation(300, 299))
    store.write([start], [])
    store.write([], [refused_end(start)])
    assert counters() == {}


def test_a_batch_that_is_written_again_reserves_once(store, new_start, total):
    start = new_start(reservation=reservation(300, 1000))
    store.write([start], [])
    assert not is_refused(store.write([start], [])[start.id])
    assert total() == (0, 300)


def unconfirmed(store, monkeypatch):
    """Commits, and then fails."""
    commit = store._backend.commit

    def fail():
        commit()
        monkeypatch.setattr(store._backend, "commit", commit)
        raise OSError

    monkeypatch.setattr(store._backend, "commit", fail)


def test_a_start_whose_commit_was_not_confirmed_reserves_once(
    sqlite_database, new_start, total_of, monkeypatch
):
    store = Store(sqlite_database.engine)
    store.connect()
    store.write([new_start()], [])  # the first commit is a slow one
    start = new_start(reservation=reservation(300, 1000))
    unconfirmed(store, monkeypatch)
    assert store.write_at_once([start], []) is None
    assert total_of(sqlite_database, USER) == 300
    assert not is_refused(store.write([start], [])[start.id])
    assert total_of(sqlite_database, USER) == 300
    store.write([], [end(start, 50)])
    assert total_of(sqlite_database, USER) == 50


def test_a_request_over_midnight_counts_for_the_day_on_which_it_began(
    store, new_start, counters, total
):
    daily, monthly = Period.DAILY.start(LATE), Period.MONTHLY.start(LATE)
    start = new_start(started_at=LATE, reservation=reservation(300, 1000, since=daily))
    store.write([start], [])
    after = LATE + timedelta(hours=1)
    store.write([], [end(start, 250, at=after)])
    assert counters() == {(USER, "2026-01-31"): (250, 0)}

    def used(period, at=after):
        since = period.start(at)
        asked = new_start(started_at=at, reservation=reservation(0, 10**9, since=since))
        return store.write([asked], [])[asked.id]

    assert used(Period.DAILY) == used(Period.MONTHLY) == (0,)
    assert used(Period.WEEKLY) == (250,)  # it began on Monday, the 26th
    assert used(Period.MONTHLY, LATE) == (250,)
    assert monthly == date(2026, 1, 1)


def test_what_a_killed_daemon_left_open_is_released_and_charged_when_its_end_is_replayed(
    database, store, new_start, total, clock
):
    starts = [
        new_start(reservation=reservation(300, 1000, charged_to=["token:t"])) for _ in range(3)
    ]
    store.write(starts, [end(starts[0], 50)])
    assert total() == total("token:t") == (50, 600)
    store.close()
    other = Store(database.engine)
    other.connect()
    assert other.close_left_open(clock.wall()) == 2
    assert total() == total("token:t") == (50, 0)
    assert not any(row["reserved_nanos"] for row in database.rows(schema.interceptions))
    other.write([], [end(starts[1], 70)])
    assert total() == total("token:t") == (120, 0)
    other.close()


def test_a_response_in_the_background_is_charged_by_an_estimate_and_then_by_its_cost(
    database, store, new_start, total
):
    start = new_start(reservation=reservation(300, 1000))
    store.write([start], [end(start, 300, "estimated"), told(start, "queued")])
    assert total() == (300, 0)
    store.write([], [told(start, "in_progress")])
    assert total() == (300, 0)
    store.write([], [told(start, "completed", 40), told(start, "completed", 40)])
    assert total() == (40, 0)
    row = database.row(schema.interceptions)
    assert (row["cost_nanos"], row["cost_label"]) == (40, "exact")
    store.write([], [told(start, "completed", 99)])  # a last status is never followed
    assert total() == (40, 0)
    assert database.row(schema.interceptions)["cost_nanos"] == 40


def test_the_estimate_stays_where_the_last_status_tells_no_cost(database, store, new_start, total):
    start = new_start(reservation=reservation(300, 1000))
    store.write([start], [end(start, 300, "estimated"), told(start, "queued")])
    store.write([], [told(start, "cancelled")])
    assert total() == (300, 0)
    assert database.row(schema.interceptions)["cost_label"] == "estimated"


def test_counters_outlive_the_records_by_the_longest_period(database, store, new_start, counters):
    for days in (0, 40):
        start = new_start(started_at=LATE - timedelta(days=days))
        store.write([start], [end(start, 7)])
    store.prune(LATE - timedelta(days=10), 10)
    assert counters() == {(USER, "2026-01-31"): (7, 0), (USER, "2025-12-22"): (7, 0)}
    store.prune(LATE, 10)
    assert counters() == {(USER, "2026-01-31"): (7, 0)}


def test_the_sums_of_counters_are_those_of_the_rows(database, store, new_start, total):
    """Starts, ends and refusals of several subjects, in batches of any order."""
    starts = []
    for number in range(40):
        charged_to = ("token:t",) if number % 3 else ()
        starts.append(
            new_start(reservation=reservation(10 * (number % 7), 600, charged_to=charged_to))
        )
    for number in range(0, 40, 8):
        ends = [end(each, 3) for each in starts[max(0, number - 12) : number : 2]]
        store.write(starts[number : number + 8], ends)
    rows = database.rows(schema.interceptions)
    assert 5 < len(rows) < 40

    def sums(rows):
        return sum(row["cost_nanos"] or 0 for row in rows), sum(
            row["reserved_nanos"] or 0 for row in rows
        )

    assert total() == sums(rows)
    assert total("token:t") == sums([row for row in rows if row["charged_to"]])


def test_two_daemons_share_the_counters(postgres_database, new_start, total_of):
    """Neither admits what the other has reserved, nor do they wait for each other in a circle."""
    stores = [Store(postgres_database.engine) for _ in range(2)]
    for each in stores:
        each.connect()
    admitted, failures = [], []

    def run(store, seed):
        try:
            for number in range(25):
                subjects = ["token:a", "token:b"][:: 1 if (number + seed) % 2 else -1]
                starts = [
                    new_start(
                        initiator_id=f"{subject}-{number % 3}",
                        reservation=reservation(10, 205, subject=subject, charged_to=subjects),
                    )
                    for subject in subjects
                ]
                found = store.write(starts, [])
                done = [each for each in starts if not is_refused(found[each.id])]
                admitted.extend(done)
                store.write([], [end(each, 10) for each in done])
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(each, seed)) for seed, each in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for each in stores:
        each.close()
    assert not failures
    assert len(admitted) == 20
    assert total_of(postgres_database, "token:a") == total_of(postgres_database, "token:b") == 200


@pytest.fixture
def total_of():
    def read(database, subject):
        columns = schema.spend.c
        used = sa.func.sum(columns.spent_nanos + columns.reserved_nanos)
        with database.engine.connect() as connection:
            return connection.scalar(sa.select(used).where(columns.subject == subject))

    return read


def test_an_end_leaves_room_for_a_start_of_the_same_transaction(store, new_start, total):
    first, second = (new_start(reservation=reservation(900, 1000)) for _ in range(2))
    store.write([first], [])
    assert store.write([second], [end(first, 100)]) == {second.id: (100,)}
    assert total() == (100, 900)


async def test_what_has_ended_is_settled_before_the_next_start(
    database, make_recorder, new_start, total
):
    recorder = await make_recorder(database, linger=60)
    for number in range(3):
        start = new_start(reservation=reservation(900, 1000))
        assert await recorder.start(start) == (10 * number,)
        recorder.record(end(start, 10))
    late = new_start(reservation=reservation(971, 1000))
    with pytest.raises(BudgetExceededError) as refused:
        await recorder.start(late)
    assert refused.value.used == (30,)
    await recorder.close()
    assert total() == (30, 0)
    assert recorder.stats.starts_refused == 0


def test_an_end_is_charged_once_whatever_becomes_of_the_transaction(store, new_start, total):
    """One that fails changes nothing, and neither does what is remembered of it."""
    start = new_start(reservation=reservation(300, 1000))
    store.write([start], [])
    usage = TokenUsageRecord(
        id=start.id,
        interception_id="00000000-0000-4000-8000-00000000dead",
        created_at=start.started_at,
    )
    for _ in range(2):
        with pytest.raises(RowRefusedError):
            store.write([], [end(start, 50), usage])
    assert total() == (0, 300)
    refused = new_start(reservation=reservation(300, 1000))
    with pytest.raises(RowRefusedError):
        store.write([refused], [usage])
    store.write([], [end(start, 50), end(start, 50), end(refused, 50)])
    assert total() == (50, 0)


def test_what_another_daemon_has_closed_is_not_released_again(
    database, store, new_start, total, clock
):
    """The connection was lost for a while; the request is still there, and ends."""
    start = new_start(reservation=reservation(300, 1000))
    store.write([start], [])
    store.close()
    other = Store(database.engine)
    other.connect()
    assert other.close_left_open(clock.wall()) == 1
    other.close()
    store.connect()
    store.write([], [end(start, 50)])
    assert total() == (50, 0)


def test_only_so_many_open_rows_are_remembered(store, new_start, total, monkeypatch):
    monkeypatch.setattr(ledger, "_MAX_OPEN", 3)
    starts = [new_start(reservation=reservation(10, 1000)) for _ in range(6)]
    for start in starts:
        store.write([start], [])
    assert len(store._ledger._open) == 3
    store.write([], [end(start, 1) for start in starts])
    assert total() == (6, 0)
    assert not store._ledger._open


def test_what_is_remembered_as_used_is_what_the_counters_say(
    database, store, new_start, total, monkeypatch
):
    """Over commits, transactions that fail, others' commits, and more than is remembered."""
    monkeypatch.setattr(ledger, "_MAX_USED", 8)
    chance, running = random.Random(5), []
    subjects = [USER, *(f"group_pool:{number}" for number in range(5))]

    def used(subject, since):
        return sum(
            row["spent_nanos"] + row["reserved_nanos"]
            for row in database.rows(schema.spend)
            if row["subject"] == subject and row["day"] >= since
        )

    for _ in range(120):
        charged_to = tuple(chance.sample(subjects[1:], 2))
        day = timedelta(days=chance.randrange(20))
        checks = tuple(
            Check(subject, date(2026, 1, chance.choice((1, 12, 31))), 5000)
            for subject in (USER, *charged_to)
        )
        held = Reservation(amount=chance.randrange(90), checks=checks, charged_to=charged_to)
        start = new_start(started_at=LATE - day, reservation=held)
        ending = [running.pop() for _ in range(min(chance.randrange(3), len(running)))]
        ends = [end(each, chance.randrange(60)) for each in ending]
        match chance.randrange(4):
            case 0:
                with pytest.raises(RowRefusedError):
                    store.write([start, new_start(provider=None)], ends)
                running.extend(ending)
                continue
            case 1:
                with database.engine.begin() as other:
                    other.execute(sa.update(schema.spend).values(spent_nanos=chance.randrange(99)))
        store.write([], ends)
        expected = tuple(used(check.subject, check.since) for check in checks)
        assert store.write([start], []) == {start.id: expected}
        running.append(start)
        assert len(store._ledger._used) <= 8 + len(checks)
