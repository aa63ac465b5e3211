"""Following the record, round by round; tests/e2e/test_asking.py follows a real daemon."""

import importlib
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from aibridged.cli import asked_for, build
from aibridged.cli.columns import Layout, chosen
from aibridged.records.facts import InterceptionEnd, InterceptionStart, Outcome
from aibridged.records.ids import uuid7
from aibridged.records.query import Query
from aibridged.records.query_results import Filter
from aibridged.records.store import Store
from tests.viewers import EVERYTHING

tail = importlib.import_module("aibridged.cli.tail")


@pytest.fixture
def store(sqlite_database):
    made = Store(sqlite_database.engine)
    made.connect()
    yield made
    made.close()


@pytest.fixture
def start(store, clock):
    def start(count=1, ago=0.0, **fields):
        at = clock.wall() - timedelta(seconds=ago)
        made = [
            InterceptionStart(
                id=uuid7(at),
                initiator_id="00000000-0000-4000-8000-00000000000a",
                provider="anthropic",
                provider_name="anthropic",
                model=fields.get("model", "claude"),
                username=fields.get("username", "ann"),
                started_at=at,
            )
            for _ in range(count)
        ]
        store.write(made, [])
        return [each.id for each in made]

    return start


@pytest.fixture
def end(store, clock):
    def end(*ids, outcome=Outcome.COMPLETED, cost=None):
        store.write(
            [],
            [
                InterceptionEnd(
                    interception_id=id,
                    ended_at=clock.wall(),
                    outcome=outcome,
                    status_code=200,
                    cost_nanos=cost,
                    cost_label=None if cost is None else "exact",
                )
                for id in ids
            ],
        )

    return end


@pytest.fixture
def follow(sqlite_database, clock):
    """Follows while the given steps happen, one in each pause; returns what each round showed."""

    def follow(*steps, **wanted):
        rounds, left = [[]], iter(steps)

        class EndedError(Exception):
            pass

        def pause(_seconds):
            step = next(left, None)
            if step is None:
                raise EndedError
            step()
            rounds.append([])

        query = Query(sqlite_database.engine, clock, EVERYTHING)
        try:
            asked = tail._Asked(query, Filter(**wanted), with_texts=True)
            for each in tail._follow(asked, clock.wall(), pause):
                rounds[-1].append(each.id)
        except EndedError:
            return rounds

    return follow


def test_each_is_shown_once_when_it_has_ended(follow, start, end, clock):
    first, second = start(2)

    def end_second():
        clock.advance(1)
        end(second)

    def end_first():
        clock.advance(60)
        end(first)

    assert follow(end_second, lambda: None, end_first, lambda: None) == [
        [],
        [second],
        [],
        [first],
        [],
    ]


def test_what_one_costs_is_known_when_it_has_ended(follow, start, end, clock):
    dear, cheap, unknown = start(3)

    def later():
        clock.advance(60)
        end(*start(), cost=2 * 10**9)

    def end_all():
        end(dear, cost=10**9)
        end(cheap, cost=10**9 - 1)
        end(unknown)

    rounds = follow(later, end_all, min_cost=10**9)
    assert [len(shown) for shown in rounds] == [0, 1, 1]
    assert rounds[2] == [dear]


def test_those_that_ended_meanwhile_come_in_the_order_of_their_ends(follow, start, end, clock):
    ids = start(3)

    def end_all():
        for id in reversed(ids):
            clock.advance(1)
            end(id)

    assert follow(end_all) == [[], ids[::-1]]


def test_one_is_waited_for_however_many_come_after_it(follow, start, end, clock):
    (slow,) = start()

    def many():
        clock.advance(1)
        end(*start(1001))

    rounds = follow(many, lambda: end(slow))
    assert [len(shown) for shown in rounds] == [0, 1001, 1]
    assert rounds[2] == [slow]


def test_a_start_that_is_committed_late_is_not_missed(follow, start, end, clock):
    late = []

    def first():
        clock.advance(5)
        end(*start())

    def commit_an_older_one():
        clock.advance(1)
        late.extend(start(ago=3))
        end(*late)

    def much_later():
        clock.advance(3600)
        end(*start())

    rounds = follow(first, commit_an_older_one, much_later)
    assert [len(shown) for shown in rounds] == [0, 1, 1, 1]
    assert rounds[2] == late


def test_only_those_that_are_wanted_are_shown(follow, start, end):
    (anns,) = start(username="ann", model="a")
    bobs = sorted(start(2, username="bob", model="b"))

    def end_all():
        end(anns, bobs[0])
        end(bobs[1], outcome=Outcome.FAILED)

    def again():
        end(*start(username="bob", model="b"), outcome=Outcome.FAILED)

    assert follow(end_all, initiator="ann") == [[], [anns]]
    assert follow(lambda: None, initiator="bob", model="b") == [bobs, []]
    assert follow(lambda: None, status="failed") == [bobs[1:], []]
    _, failed = follow(again, status="failed", initiator="bob")
    assert len(failed) == 1


@pytest.mark.parametrize("flag", ["--limit", "--started-after", "--started-before"])
def test_what_has_no_end_has_no_limit(sqlite_database, flag):
    args = ["tail", flag, "1", "--state-dir", str(sqlite_database.state_dir)]
    assert f"there is no option {flag}" in CliRunner().invoke(build(asked_for(args)), args).stderr


def test_what_is_open_is_not_shown(sqlite_database):
    args = ["tail", "--status", "open", "--state-dir", str(sqlite_database.state_dir)]
    result = CliRunner().invoke(build(asked_for(args)), args)
    assert result.exit_code == 2
    assert "only interceptions that have ended are shown" in result.stderr


@pytest.mark.parametrize("columns", [80, 140])
def test_lines_keep_to_their_columns(start, end, clock, sqlite_database, columns):
    (id,) = start(model="claude-" + "x" * 60, username="somebody-with-a-long-name\x1b[31m")
    clock.advance(12.34)
    end(id)
    each = Query(sqlite_database.engine, clock, EVERYTHING).interception(id)
    layout = Layout(chosen(tail._COLUMNS), [tail._typical()], columns)
    (line,) = layout.lines(each)
    assert len(line) <= columns
    assert "\x1b" not in line
    assert [line.index(text) for text in ("somebody", "claude", "200")] == [
        layout.heading.index(text) for text in ("USER", "MODEL", "STATUS")
    ]
    assert line.index("12.3s") + 5 == layout.heading.index("TOOK") + 4
    assert line.startswith(id[:13]) == (columns == 140)


def test_a_pipe_has_lines_in_full(start, end, clock, sqlite_database):
    (id,) = start(model="claude-" + "x" * 60)
    end(id)
    each = Query(sqlite_database.engine, clock, EVERYTHING).interception(id)
    (line,) = Layout(chosen(tail._COLUMNS), [tail._typical()], None).lines(each)
    assert id in line
    assert "x" * 60 in line


def test_the_command_shows_lines_until_ctrl_c(start, end, sqlite_database, clock, monkeypatch):
    (id,) = start(model="claude-x")
    end(id)

    def follow(asked, since, pause):
        yield asked.query.interception(id)
        raise KeyboardInterrupt

    monkeypatch.setattr(tail, "_follow", follow)
    result = CliRunner().invoke(
        build(["tail"]), ["tail", "--state-dir", str(sqlite_database.state_dir)]
    )
    assert result.exit_code == 0, result.output
    heading, line = result.stdout.splitlines()
    assert heading.split() == [
        "ID", "ENDED", "USER", "MODEL", "STATUS", "TOOK", "IN", "OUT", "COST", "REASON",
    ]  # fmt: skip
    assert line.split()[3:6] == ["ann", "claude-x", "200"]
