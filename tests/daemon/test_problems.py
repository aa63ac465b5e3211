"""What is wrong is told in a sentence each; what is right isn't mentioned."""

import pytest

from aibridged.config.reloading import ReloadStats
from aibridged.core.breaker import BreakerKey, Trouble
from aibridged.core.circuit import State
from aibridged.core.concurrency import Slots
from aibridged.daemon.problems import (
    of_mcp_servers,
    of_providers,
    of_records,
    of_requests,
    of_workers,
)
from aibridged.daemon.status_report import Worker
from aibridged.pipeline.provider_key import KeyRefusal
from aibridged.records.stats import RecorderStats

KEY = BreakerKey("anthropic", "/v1/messages", "m", "centralized")


def told(found):
    return [(each.kind.value, each.subject, each.is_severe) for each in found]


def test_all_is_well():
    assert told(of_requests(False, Slots(0), ReloadStats(1.0, 1.0))) == []
    assert told(of_requests(False, Slots(5), ReloadStats(1.0, 1.0))) == []
    assert told(of_records(RecorderStats(records_spooled=3, records_replayed=3), 0)) == []
    assert told(of_providers({}, [Trouble(KEY, State.CLOSED, 2, None)])) == []
    assert told(of_mcp_servers({"docs": (0, "")})) == []
    steady = Worker("Worker 1", pid=1, state="serving", uptime_s=61.0, restarts=3, ends=3)
    starting = Worker("Worker 2", pid=2, state="starting", uptime_s=1.0)
    assert told(of_workers([steady, starting])) == []


def test_requests():
    slots = Slots(1)
    assert slots.take()
    found = list(of_requests(True, slots, ReloadStats(2.0, 1.0, succeeded=False)))
    assert told(found) == [
        ("shutting_down", "daemon", True),
        ("slots_full", "requests", True),
        ("reload_failed", "settings", False),
    ]


@pytest.mark.parametrize(
    ("stats", "unjournaled", "expected", "said"),
    [
        ({"database_away": True}, 0, ("database_away", "database", True), "is away"),
        ({"stalled": True}, 0, ("database_away", "database", True), "too long to commit"),
        ({"spool_bytes": 1234}, 0, ("records_spooled", "records", False), "1,234 bytes"),
        ({"records_lost": 1}, 0, ("records_lost", "records", True), "1 record is lost"),
        ({}, 2, ("records_unjournaled", "journal", False), "2 records were not"),
    ],
)
def test_records(stats, unjournaled, expected, said):
    (found,) = of_records(RecorderStats(**stats), unjournaled)
    assert told([found]) == [expected]
    assert said in found.message


def test_providers():
    refusal = KeyRefusal("sk-a...b", 401, "--aibridge-anthropic-key", 0.0)
    troubles = [Trouble(KEY, State.OPEN, 5, 12.4), Trouble(KEY, State.HALF_OPEN, 5, None)]
    found = list(of_providers({"anthropic": refusal}, troubles))
    assert told(found) == [
        ("key_refused", "anthropic", True),
        ("circuit_open", "anthropic", True),
        ("circuit_open", "anthropic", False),
    ]
    assert "the gateway's key sk-a...b with status 401" in found[0].message
    assert "after 5 failures in a row" in found[1].message
    assert "tried again in 12 s" in found[1].message


def test_mcp_servers_and_tokens_in_their_reasons():
    (found,) = of_mcp_servers({"docs": (2, "no aib_k3j9xq2mzd_" + "a" * 43)})
    assert told([found]) == [("mcp_server_failing", "docs", False)]
    assert "for 2 credentials: no aib_" in found.message
    assert "a" * 43 not in found.message


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        (Worker("Worker 1", state="down", ends=1), "has ended, and is started again"),
        (Worker("Worker 1", state="down", ends=4), "ended 4 times in a row"),
        (Worker("Worker 1", pid=1, state="serving", uptime_s=2.0, ends=4), "ended 4 times"),
        (Worker("Worker 1", pid=1, state="silent", silent_s=7.2), "does not answer for 7 s"),
    ],
)
def test_workers(worker, said):
    (found,) = of_workers([worker])
    assert told([found]) == [("worker_down", "Worker 1", False)]
    assert said in found.message
    worker.kind = "writer"
    (found,) = of_workers([worker])
    assert found.is_severe
