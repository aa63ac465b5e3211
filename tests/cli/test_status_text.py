"""The status as a person reads it, in 80 columns and in 140."""

import pytest

from aibridged.cli.status_text import as_text, counted, lasting, size
from aibridged.daemon.status_report import (
    Circuit,
    Circuits,
    Clients,
    Database,
    Listening,
    McpServer,
    Process,
    RateLimit,
    Records,
    Redis,
    Requests,
    RunningModel,
    Status,
    Worker,
    decoded,
)

BUSY = Status(
    version="1.2.3",
    pid=4711,
    state="serving",
    uptime_s=280_000,
    state_dir="/var/lib/aibridged",
    listeners=[
        Listening("gateway", "http://127.0.0.1:4001"),
        Listening("metrics", "http://127.0.0.1:2112/metrics"),
    ],
    database=Database("PostgreSQL", "postgresql://db.example.com:5432/aibridged", False, 1, 320.0),
    records=Records(5_000_000, 1200, 0, 30_000, 0, 3),
    requests=Requests(
        17,
        [RunningModel("anthropic", "claude", 12), RunningModel("openai", "gpt\x1b[2J", 3)],
        0,
        17,
        200,
    ),
    rate_limit=RateLimit(5, 1, 60),
    circuits=Circuits(
        5,
        [
            Circuit("anthropic", "/v1/messages", "claude", "centralized", "open", 5, 23.4),
            Circuit("openai", "/v1/responses", "m" * 200, "byok", "closed", 2),
        ],
        3,
    ),
    mcp_servers=[
        McpServer("github", 0, "", 2, 1),
        McpServer("jira", 3, "503 Service Unavailable", 17, 0),
    ],
    clients=Clients(17, 230, 8707),
    process=Process(120 << 20, 24 << 30, 3 << 20, 6 << 30, 300, 65_536),
)

SHOWN = """\
aibridged 1.2.3 is serving, up 3d5h, process 4711

Listens on   http://127.0.0.1:4001 (gateway)
             http://127.0.0.1:2112/metrics (metrics)
State        /var/lib/aibridged
Database     PostgreSQL postgresql://db.example.com:5432/aibridged
             1 fact waiting, last commit 5m20s ago, IT DOES NOT ANSWER
Spool        4.8 MiB, 1,200 spooled and 0 replayed so far, 3 records LOST
Journal      29.3 KiB
Requests     17 running, using 17 of 200 slots
             12  anthropic  claude
              3  openai     gpt\N{REPLACEMENT CHARACTER}[2J
Rate limit   5 a second per caller; 1 caller refused within 1m
Circuits     OPEN: anthropic /v1/messages claude, probes in 23s
             closed: openai /v1/responses
               mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm … with
               a caller's own key, 2 of 5 failures
             … and 3 more
MCP servers  jira: FAILING: 503 Service Unavailable (17 failures)
             github: available (2 failures, 1 ended session)
Clients      247 connections of 8,707, 230 idle
Memory       120.0 MiB of 24.0 GiB; request bodies 3.0 MiB of 6.0 GiB
Descriptors  300 of 65,536"""


def test_a_busy_daemon_in_80_columns() -> None:
    assert as_text(BUSY, 80) == SHOWN


@pytest.mark.parametrize("room", [60, 80, 140])
def test_lines_fit(room: int) -> None:
    assert max(map(len, as_text(BUSY, room).splitlines())) <= room


def test_what_is_off_and_what_is_missing() -> None:
    quiet = Status(version="1.2.3", state="serving", database=Database(), records=Records())
    shown = as_text(quiet, 80)
    assert "no commit yet" in shown
    for line in ("Spool        empty", "Rate limit   off", "Circuits     circuit breaker off"):
        assert line in shown
    assert "MCP" not in shown


def test_a_proxy_has_neither_database_nor_circuits() -> None:
    shown = as_text(Status(forwards_to="https://gateway.example.com"), 80)
    assert "Forwards to  https://gateway.example.com" in shown
    assert not any(label in shown for label in ("Database", "Circuits", "Requests", "Rate"))


@pytest.mark.parametrize(
    ("redis", "said"),
    [
        (Redis("redis://h:1", replicas=3, processes=2, expected=3), "shared by 2 of 3 replicas"),
        (Redis("redis://h:1", replicas=3, processes=6, expected=6), "shared by 6 of 6 processes"),
        (
            Redis("redis://h:1", replicas=3, processes=7, expected=6),
            "shared by 7 processes, MORE THAN THE 6 of --aibridge-replicas",
        ),
        (
            Redis("redis://h:1", replicas=1, processes=2, expected=1),
            "shared by 2 replicas, MORE THAN THE 1 of --aibridge-replicas",
        ),
    ],
)
def test_replicas_that_share_limits_are_those_seen(redis: Redis, said: str) -> None:
    shown = as_text(Status(database=Database(), records=Records(), redis=redis), 200)
    assert f"limits are {said}" in " ".join(shown.split())


def test_long_lists_are_counted() -> None:
    models = [RunningModel("openai", f"m{number}", 1) for number in range(100)]
    shown = as_text(Status(requests=Requests(100, models, 900)), 80)
    assert shown.count("openai") == 10
    assert "… and 990 more" in shown


def test_the_document_of_another_release_is_read() -> None:
    status = decoded(b'{"version": "9", "new": {"x": 1}, "database": {"kind": "SQLite"}}')
    assert "aibridged 9" in as_text(status, 80)
    with pytest.raises(ValueError, match="malformed"):
        decoded(b"SSH-2.0")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (0.04, "0s"), (4.25, "4.2s"), (59.4, "59s"), (725, "12m5s"), (12_345, "3h25m")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert lasting(seconds) == shown


def test_sizes_and_counts() -> None:
    assert [size(count) for count in (0, 1023, 1024, 5 << 30, 9 << 50)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5.0 GiB",
        "9216.0 TiB",
    ]
    assert [counted(count, "fact") for count in (0, 1, 12_000)] == [
        "0 facts",
        "1 fact",
        "12,000 facts",
    ]


def test_a_worker_that_does_not_answer_is_not_said_to_serve():
    workers = [
        Worker("Writer 1", "writer", 4, "serving", None, 90.0),
        Worker("Worker 1", "worker", 5, "silent", 7.4, 90.0, 5),
        Worker("Worker 2", "worker", state="down", restarts=3, ends=3),
    ]
    text = as_text(Status(state="serving with 0 of 2 workers", workers=workers), 100)
    assert "Writer 1: serving, process 4, up 1m30s, 0 running" in text
    assert "Worker 1: DOES NOT ANSWER for 7.4s, process 5, up 1m30s\n" in text
    assert "Worker 2: DOWN, 3 restarts, ended 3 times in a row" in text
