"""What a question about a large record costs: each command as a whole, on SQLite.

A database is filled with interceptions of 200 users and 12 models in the working hours of 60 days,
with their prompts, token usages, costs and tool calls, and its hours are summed up, as a daemon
would. Then each command runs several times as a process of its own. The figure is the best of its
runs: other load on the machine only adds. The exit status is 1 if one is over the limit.

    python -m bench.queries [--interceptions 100000] [--limit 0.5] [--keep DIRECTORY]

Two million interceptions take about 3 GB of disk for as long as they are there, and some minutes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from aibridged.clock import SystemClock
from aibridged.records.database import database_url, make_engine
from aibridged.records.migrations import upgrade
from aibridged.records.usage_summaries import INTERVAL_S, Summaries

INTERCEPTIONS = 100_000
LIMIT_S = 0.5
_RUNS = 5
_TIMEOUT_S = 60.0

_USERS, _SESSION = 200, 12
# A Monday at 8:00, in the past of any machine that runs this.
_BEGIN = 1_754_899_200
_DAYS, _DAY_S = 43, 9 * 3600  # working days, and how long they are

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT {count}) "
_DAY = f"(i * {_DAYS} / {{count}})"
_SECONDS = (
    f"({_BEGIN} + ({_DAY} / 5 * 7 + {_DAY} % 5) * 86400"
    f" + (i * {_DAYS}.0 / {{count}} - {_DAY}) * {_DAY_S})"
)
_AT = f"strftime('%Y-%m-%d %H:%M:%f000', {_SECONDS}, 'unixepoch')"
_ENDED = f"strftime('%Y-%m-%d %H:%M:%f000', {_SECONDS} + 0.5 + i % 40, 'unixepoch')"
# As UUIDv7: the time in milliseconds, then what tells rows of one moment apart.
_ID = (
    f"printf('%08x-%04x-7000-8{{kind}}00-%012x', cast({_SECONDS} * 1000 AS integer) >> 16,"
    f" cast({_SECONDS} * 1000 AS integer) & 65535, i * 7919)"
)
_NUMBER = f"(i / {_SESSION})"  # of the session
_USER = f"({_NUMBER} % {_USERS})"
_IS_OPENAI = f"{_USER} % 3 = 0"
_HAIKU = "claude-haiku-4-5"
_COST = "(i % 900 * 3 + i % 700 * 15 + i % 90000 * 3 / 10) * 1000"
_LABEL = "CASE WHEN i % 70 = 1 THEN 'estimated' ELSE 'exact' END"
_OUTCOME = "CASE WHEN i % 40 = 0 THEN 'failed' WHEN i % 70 = 1 THEN 'client_closed' "
_INTERCEPTIONS = f"""
INSERT INTO aibridge_interceptions (id, initiator_id, username, api_key_id, provider,
    provider_name, model, client, client_session_id, credential_kind, credential_hint, recorder_id,
    started_at, ended_at, status_code, outcome, error_type, error_source, error_code, error_message,
    cost_nanos, cost_label)
{_NUMBERS} SELECT {_ID}, printf('00000000-0000-4000-8000-%012x', {_USER}),
    'user' || {_USER}, printf('t%09d', {_USER}),
    CASE WHEN {_IS_OPENAI} THEN 'openai' ELSE 'anthropic' END,
    CASE WHEN {_IS_OPENAI} AND {_USER} % 2 THEN 'azure' WHEN {_IS_OPENAI} THEN 'openai'
        ELSE 'anthropic' END,
    CASE WHEN {_IS_OPENAI} THEN 'gpt-5.' || ({_NUMBER} / {_USERS} % 4) WHEN i % 4 = 0
        THEN '{_HAIKU}' ELSE 'claude-sonnet-4-5-2025092' || ({_NUMBER} / {_USERS} % 7) END,
    CASE WHEN {_IS_OPENAI} THEN 'Codex' ELSE 'Claude Code' END,
    printf('%08x-0000-4000-8000-%012x', {_NUMBER} * 2654435761 % 4294967296, {_NUMBER}),
    'centralized', 'sk-a...b', 1, {_AT}, {_ENDED},
    CASE WHEN i % 40 = 0 THEN 529 ELSE 200 END, {_OUTCOME} ELSE 'completed' END,
    CASE WHEN i % 40 = 0 THEN 'overloaded_error' END, CASE WHEN i % 40 = 0 THEN 'provider' END,
    CASE WHEN i % 40 = 0 THEN 'overloaded' END, CASE WHEN i % 40 = 0 THEN 'Overloaded' END,
    {_COST}, {_LABEL}
    FROM n"""
_CHILD = f"""
INSERT INTO aibridge_{{table}} (id, interception_id, provider_response_id, created_at, {{columns}})
{_NUMBERS} SELECT {_ID}, {_ID.replace("{kind}", "0")}, 'resp_' || i, {_AT}, {{values}} FROM n
WHERE i % {{every}} = 0"""
_CHILDREN = (
    (
        "token_usages",
        "input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens,"
        " cost_nanos, cost_label",
        f"i % 900, i % 700, i % 90000, i % 3000, {_COST}, {_LABEL}",
        1,
    ),
    ("user_prompts", "prompt", "replace(hex(zeroblob(60)), '00', 'Mend the test. ') || i", 3),
    ("tool_usages", "tool, input, injected", "'Bash', '{\"command\":\"make test\"}', 0", 2),
)

QUESTIONS = (
    "interceptions list",
    "interceptions list --user user7",
    "interceptions list --user nobody",
    "interceptions list --failed",
    "interceptions list --status interrupted",
    "interceptions list --model none",
    "interceptions list --provider none",
    "interceptions list --client none",
    "interceptions list --session none",
    "interceptions list --user user7 --failed",
    "interceptions list --min-cost 1000",
    "interceptions list --limit 1000",
    "interceptions list --limit 1000 --output json",
    "sessions list",
    "sessions list --user user7",
    "sessions list --user nobody",
    "sessions list --failed",
    "sessions list --status interrupted",
    "sessions list --provider none",
    "usage",
    "usage --by model",
    "usage --by provider",
    "usage --by client",
    "usage --by user,model",
    "usage --by user,model,day",
    "usage --by day",
    "usage --user user7",
    "usage --user nobody",
    "usage --status failed",
    "usage --model gpt-5.0 --by day",
    "usage --started-after 2025-09-01",
    "usage --by user --started-after 2025-10-01T11:30:00Z --sort cost",
)


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.queries",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--interceptions", type=int, default=INTERCEPTIONS, metavar="N")
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="use and keep this database")
    parser.add_argument("--only", default="", metavar="TEXT", help="questions with this in them")
    options = parser.parse_args()
    if options.keep is not None:
        return _measure(options.keep, options)
    with tempfile.TemporaryDirectory() as made:
        return _measure(Path(made), options)


def fill(directory: Path, count: int) -> None:
    """Make a database of so many interceptions."""
    engine = make_engine(database_url(directory))
    upgrade(engine)
    with engine.begin() as connection:
        for statement in _statements(count):
            connection.exec_driver_sql(statement)


def sum_up(directory: Path) -> float:
    """Sum up all hours, without the daemon's pauses; returns how many seconds it took."""
    summaries = Summaries(make_engine(database_url(directory)), SystemClock())
    began = time.monotonic()
    while summaries.go_on() < INTERVAL_S:
        pass
    return time.monotonic() - began


def _statements(count: int) -> Iterator[str]:
    yield _INTERCEPTIONS.replace("{kind}", "0").replace("{count}", str(count))
    for kind, (table, columns, values, every) in enumerate(_CHILDREN, 1):
        statement = _CHILD.replace("{kind}", str(kind)).replace("{count}", str(count))
        for name, text in (("table", table), ("columns", columns), ("values", values)):
            statement = statement.replace(f"{{{name}}}", text)
        yield statement.replace("{every}", str(every))


def _measure(directory: Path, options: argparse.Namespace) -> int:
    directory.mkdir(mode=0o700, exist_ok=True)
    if not (directory / "aibridged.db").exists():
        fill(directory, options.interceptions)
    print(f"{'hours summed up in':44}{sum_up(directory):8.3f} s", flush=True)
    slowest = 0.0
    for question in ("version", *QUESTIONS):
        if options.only in question:
            seconds = min(_seconds(question, directory) for _ in range(_RUNS))
            slowest = max(slowest, seconds)
            print(f"{question:44}{seconds:8.3f} s", flush=True)
    print(f"{'slowest':44}{slowest:8.3f} s, the limit is {options.limit:g} s")
    return int(slowest > options.limit)


def _seconds(question: str, directory: Path) -> float:
    place = [] if question == "version" else ["--state-dir", str(directory)]
    began = time.monotonic()
    asking = subprocess.Popen(
        [sys.executable, "-m", "aibridged", *question.split(), *place],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # As when it is installed: with its bytecode.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
    )
    # Not by a timeout of `wait`, which looks every 50 ms only.
    end = threading.Timer(_TIMEOUT_S, asking.kill)
    end.start()
    status = asking.wait()
    seconds = time.monotonic() - began
    end.cancel()
    if status:
        raise SystemExit(f"aibridged {question}: exit status {status}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
