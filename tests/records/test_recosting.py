"""Costs computed once more: by the rates of their time, with the old values kept, each once."""

from collections import deque
from datetime import timedelta

import pytest

from aibridged.core.cost_notes import Asked
from aibridged.core.prices import Cost, Label, Priced, Reason
from aibridged.records import recosting as module
from aibridged.records import schema
from aibridged.records.database import DatabaseError
from aibridged.records.facts import BackgroundRecord, InterceptionEnd, Outcome, TokenUsageRecord
from aibridged.records.ids import uuid7
from aibridged.records.pacing import Pace
from aibridged.records.query_results import Filter
from aibridged.records.recosting import Changes, Recosting
from aibridged.records.usage_spans import SPANS
from aibridged.wire.facts import TokenUsage

ANN = "00000000-0000-4000-8000-00000000000a"
NOTHING = Asked()


@pytest.fixture
def asked():
    """What the prices were asked for."""
    return []


@pytest.fixture
def rate():
    """Nano-dollars of a token, by model; what isn't there has no price."""
    return {"m": 2}


@pytest.fixture
def recosting(database, clock, asked, rate):
    def price(provider, models, at, usage, told):
        asked.append((provider, models, at, usage, told))
        each = next((rate[name] for name in models if name in rate), None)
        if each is None:
            return Priced(Cost(None, Label.UNPRICED, (Reason.MODEL,)))
        amount = (usage.input + usage.output) * each
        if usage.partial:
            return Priced(Cost(amount, Label.ESTIMATED, (Reason.PARTIAL,)), f"table of {each}")
        return Priced(Cost(amount, Label.EXACT), f"table of {each}")

    return Recosting(database.engine, clock, Pace(clock), price, clock.advance)


@pytest.fixture
def write(store, new_start, clock):
    """An interception that has ended, with these usages, of so many tokens each."""

    def write(*usages, end=(), **start):
        started = new_start(started_at=clock.wall(), initiator_id=ANN, model="m", **start)
        rows = [
            TokenUsageRecord(
                id=uuid7(clock.wall(), number),
                interception_id=started.id,
                created_at=clock.wall(),
                **usage,
            )
            for number, usage in enumerate(usages)
        ]
        ended = InterceptionEnd(
            interception_id=started.id,
            ended_at=clock.wall(),
            outcome=Outcome.COMPLETED,
            **dict(end),
        )
        store.write([started], [])
        store.write([], [*rows, ended])
        clock.advance(1)
        return started.id

    return write


def exact(amount):
    return {"cost_nanos": amount, "cost_label": "exact"}


def last(recosting, wanted=None, **options):
    return deque([Changes(), *recosting.run(wanted or Filter(), **options)], 1)[0]


def costs(rows):
    return [(row["cost_nanos"], row["cost_label"]) for row in rows]


def spent(database):
    return {row["subject"]: row["spent_nanos"] for row in database.rows(schema.spend)}


def test_a_new_price_replaces_the_old_one_which_is_kept(database, recosting, write, clock):
    id = write(
        {"input_tokens": 10, "price_version": "old", **exact(10)},
        {"input_tokens": 5, **exact(10)},
        end=exact(20),
    )
    same = write({"input_tokens": 1, "price_version": "old", **exact(2)}, end=exact(2))
    now = clock.wall()
    assert last(recosting) == Changes(2, 1, 22, 32, 0)
    first, second, other = database.rows(schema.token_usages)
    assert costs((first, second, other)) == [(20, "exact"), (10, "exact"), (2, "exact")]
    assert (first["price_version"], other["price_version"]) == ("table of 2", "old")
    assert costs(database.rows(schema.interceptions, id=id)) == [(30, "exact")]
    assert costs(database.rows(schema.interceptions, id=same)) == [(2, "exact")]
    [kept] = database.rows(schema.cost_revisions)
    assert (kept["usage_id"], kept["interception_id"]) == (first["id"], id)
    assert (kept["cost_nanos"], kept["price_version"], kept["revised_at"]) == (10, "old", now)
    assert spent(database) == {f"user:{ANN}": 32}
    # Once more it changes nothing.
    assert last(recosting) == Changes(2, 0, 32, 32, 0)
    assert spent(database) == {f"user:{ANN}": 32}
    assert len(database.rows(schema.cost_revisions)) == 1


def test_the_summaries_of_hours_in_which_a_cost_has_changed_are_dirty(
    database, recosting, write, clock
):
    hour = clock.wall()
    write({"input_tokens": 10, **exact(10)}, end=exact(10))
    clock.advance(3600)
    write({"input_tokens": 10, **exact(20)}, end=exact(20))
    last(recosting)
    marked = {row["span"]: row for row in database.rows(schema.summarised_spans)}
    assert {span: row["starts_at"] for span, row in marked.items()} == dict.fromkeys(
        (span.name for span in SPANS), hour
    )
    assert all(row["is_dirty"] for row in marked.values())


def test_a_dry_run_changes_nothing(database, recosting, write):
    write({"input_tokens": 10, **exact(10)}, end=exact(10))
    assert last(recosting, dry_run=True) == Changes(1, 1, 10, 20, 0)
    assert costs(database.rows(schema.token_usages)) == [(10, "exact")]
    assert spent(database) == {f"user:{ANN}": 10}


def test_what_was_recorded_before_there_were_costs_gets_them(database, recosting, write):
    write({"input_tokens": 10})
    write()  # nothing was used
    write(end={"usage_partial": True})  # nobody knows
    assert last(recosting) == Changes(3, 2, 0, 20, 0)
    assert costs(database.rows(schema.interceptions)) == [(20, "exact"), (0, "exact"), (None, None)]


def test_a_usage_is_priced_by_all_that_its_cost_was_computed_of(database, recosting, write, asked):
    """By the note of it, and with what nobody can tell apart again."""
    notes = {
        "estimated_input": 40,
        "estimated_output": 7,
        "priced_model": "alias",
        "asked_service_tier": "flex",
        "service_tier": "priority",
        "speed": "fast",
        "web_search_requests": 2,
        "cost_reasons": "partial",
    }
    estimated = {"cost_nanos": 1, "cost_label": "estimated"}
    write({"output_tokens": 3, "metadata": notes, **estimated}, end=estimated)
    at = database.rows(schema.interceptions)[0]["started_at"]
    last(recosting, dry_run=True)
    [(provider, models, when, usage, told)] = asked
    assert (provider, models, when) == ("anthropic", ("m", "alias"), at)
    assert told == Asked("flex", None)
    assert usage == TokenUsage(
        input=40,
        output=7,
        extra={"estimated_input": 40, "estimated_output": 7, "web_search_requests": 2},
        partial=True,
        service_tier="priority",
        speed="fast",
    )
    last(recosting)
    [row] = database.rows(schema.token_usages)
    assert (row["cost_nanos"], row["metadata"]) == (94, notes)
    assert (row["output_tokens"], row["input_tokens"]) == (3, 0)


def test_whether_an_unpriced_usage_is_whole_is_told_by_its_interception(recosting, write, asked):
    none = {"cost_label": "unpriced"}
    write({"input_tokens": 1, "provider_model": "other", **none}, end={"usage_partial": True})
    write({"input_tokens": 1, **exact(2)}, end={"usage_partial": True, **exact(2)})
    last(recosting)
    assert [(models, usage.partial) for _, models, _, usage, _ in asked[:2]] == [
        (("other",), True),
        (("m", None), False),
    ]


def test_what_has_lost_its_price_is_unpriced_and_what_has_one_still_counts(
    database, recosting, write, rate
):
    write(
        {"input_tokens": 10, **exact(10)},
        {"input_tokens": 4, "provider_model": "gone", **exact(4)},
        end=exact(14),
    )
    assert last(recosting) == Changes(1, 1, 14, 20, 1)
    assert costs(database.rows(schema.interceptions)) == [(20, "unpriced")]
    assert spent(database) == {f"user:{ANN}": 20}
    del rate["m"]
    assert last(recosting) == Changes(1, 1, 20, 0, 1)
    assert costs(database.rows(schema.interceptions)) == [(None, "unpriced")]
    assert spent(database) == {f"user:{ANN}": 0}


def test_requests_with_an_own_key_count_for_nobody(database, recosting, write):
    write({"input_tokens": 10, **exact(10)}, end=exact(10), credential_kind="byok")
    assert last(recosting).changed == 1
    assert spent(database) == {}


def test_each_subject_is_charged_on_the_day_of_the_start(database, recosting, write, clock):
    first = write({"input_tokens": 10, **exact(10)}, end=exact(10))
    clock.advance(24 * 3600)
    write({"input_tokens": 10, **exact(10)}, end=exact(10))
    with database.engine.begin() as connection:
        table = schema.interceptions
        pools = table.update().where(table.c.id == first).values(charged_to="token:t group_pool:g")
        connection.execute(pools)
    last(recosting)
    days = {
        (row["subject"], str(row["day"])): row["spent_nanos"] for row in database.rows(schema.spend)
    }
    day, next_day = "2026-01-01", "2026-01-02"
    assert days == {
        (f"user:{ANN}", day): 20,
        ("token:t", day): 10,
        ("group_pool:g", day): 10,
        (f"user:{ANN}", next_day): 20,
    }


def test_open_ones_and_those_in_the_background_are_left_alone(
    database, store, recosting, write, new_start, clock
):
    store.write([new_start(model="m")], [])
    running = write({"input_tokens": 10})
    store.write([], [BackgroundRecord(interception_id=running, status="in_progress")])
    assert last(recosting) == Changes()


def test_a_filter_chooses_the_period_and_whose(recosting, write, clock):
    began = clock.wall()
    for _ in range(3):
        write({"input_tokens": 10, **exact(10)}, end=exact(10))
    within = Filter(
        started_after=began + timedelta(seconds=1), started_before=began + timedelta(seconds=2)
    )
    assert last(recosting, within, dry_run=True).interceptions == 1
    assert last(recosting, Filter(initiator=ANN), dry_run=True).interceptions == 3
    assert last(recosting, Filter(initiator="nobody"), dry_run=True).interceptions == 0
    assert last(recosting, Filter(model="other"), dry_run=True).interceptions == 0


def test_many_are_done_page_by_page_in_small_transactions(
    database, recosting, write, monkeypatch, clock
):
    monkeypatch.setattr(module, "PAGE", 3)
    for _ in range(7):
        write({"input_tokens": 10, **exact(10)}, end=exact(10))
    steps = list(recosting.run(Filter()))
    assert [each.interceptions for each in steps] == [3, 6, 7]
    assert steps[-1] == Changes(7, 7, 70, 140, 0)
    assert spent(database) == {f"user:{ANN}": 140}
    assert recosting._pace.batch > 1  # the pace is kept


def test_what_a_daemon_has_changed_meanwhile_is_not_charged_twice(
    database, recosting, write, clock
):
    """Between the read of a page and the write: another run has done it."""
    write({"input_tokens": 10, **exact(10)}, end=exact(10))
    read = recosting._write

    def late(revisions, now):
        read(revisions, now)
        read(revisions, now)

    recosting._write = late
    last(recosting)
    assert spent(database) == {f"user:{ANN}": 20}
    assert len(database.rows(schema.cost_revisions)) == 1


def test_a_database_that_fails_is_told(database, recosting, write):
    write({"input_tokens": 10, **exact(10)}, end=exact(10))
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE aibridged_cost_revisions")
    with pytest.raises(DatabaseError, match="The database failed: "):
        last(recosting)
