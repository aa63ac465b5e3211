"""`aibridged export` as a process: memory, files, pipes and signals."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aibridged.cli import build
from aibridged.clock import SystemClock
from aibridged.config import extras
from aibridged.records.database import database_url, make_engine
from aibridged.records.export import (
    INTERCEPTION_FIELDS,
    SESSION_FIELDS,
    usage_fields,
    without_texts,
)
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, UsageBy
from tests.migrated import migrate
from tests.viewers import EVERYTHING
from tests.waiting import until

COUNT = 200_000
LIMIT_KB = 200 * 1024

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT {count})"
_ID = "printf('{kind}%07x-0000-7000-8000-%012x', i / 16, i)"
_AT = "strftime('%Y-%m-%d %H:%M:%f000', 1760000000 + i / 10.0, 'unixepoch')"
_FILL = (
    f"""INSERT INTO aibridge_interceptions (id, initiator_id, username, provider, provider_name,
    model, client, credential_kind, credential_hint, recorder_id, started_at, ended_at, outcome)
    {_NUMBERS} SELECT {_ID.replace("{kind}", "0")}, 'user-' || (i % 50), 'user' || (i % 50),
    'openai', 'openai', 'gpt-5.' || (i % 3), 'Codex', 'centralized', '', 1, {_AT}, {_AT},
    'completed' FROM n""",
    f"""INSERT INTO aibridge_token_usages (id, interception_id, provider_response_id, created_at,
    input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens)
    {_NUMBERS} SELECT {_ID.replace("{kind}", "1")}, {_ID.replace("{kind}", "0")}, '', {_AT},
    i % 9, 1, 0, 0 FROM n""",
)

_MEASURED = """
import sys
from aibridged.cli import main
sys.argv[:1] = ["aibridged", "export", "interceptions"]
try:
    main()
finally:
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def fill(directory, count):
    migrate(directory)
    engine = make_engine(database_url(directory))
    with engine.begin() as connection:
        for statement in _FILL:
            connection.exec_driver_sql(statement.replace("{count}", str(count)))
    return engine


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A state directory with so many interceptions."""
    directory = tmp_path_factory.mktemp("large")
    return directory, fill(directory, COUNT)


@pytest.fixture
def small(tmp_path):
    directory = tmp_path / "state"
    directory.mkdir()
    fill(directory, 10)
    return directory


@pytest.fixture
def ask(small):
    def ask(*args):
        return CliRunner().invoke(build(), ["export", *args, "--state-dir", str(small)])

    return ask


@pytest.fixture
def start():
    """Starts an export as a process, without settings of this machine's."""
    started = []
    environ = {name: text for name, text in os.environ.items() if not name.startswith("CODER_")}

    def start(*args, **options):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "aibridged", "export", *map(str, args)],
            env=environ,
            stderr=subprocess.PIPE,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says how much memory was used")
@pytest.mark.drill
def test_the_memory_does_not_grow_with_the_record(large, tmp_path):
    directory, engine = large
    file = tmp_path / "export.csv"
    process = subprocess.run(
        [sys.executable, "-c", _MEASURED, "--state-dir", str(directory), "--output", str(file)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=50,
    )
    # (What `wait4` says includes the memory of the process that it was forked from.)
    assert int(process.stdout.split()[1]) < LIMIT_KB
    with open(file, newline="") as text:
        rows = csv.DictReader(text)
        ids, tokens = set(), 0
        for row in rows:
            ids.add(row["id"])
            tokens += int(row["input_tokens"])
    query = Query(engine, SystemClock(), EVERYTHING)
    assert len(ids) == COUNT
    assert tokens == query.usage_and_total([UsageBy.MODEL], Filter())[1].input_tokens


def test_a_reader_that_has_enough_ends_it_quietly(large, start):
    process = start("interceptions", "--state-dir", large[0], stdout=subprocess.PIPE)
    assert process.stdout.readline().startswith(b"id,started_at,")
    process.stdout.close()
    process.stdout = None
    assert process.wait(30) == 141
    assert process.stderr.read() == b""


@pytest.mark.parametrize("what", ["interceptions", "usage"])
def test_without_a_reader_it_ends_quietly(small, start, what):
    """What is left in Python's buffer, too."""
    reader, output = os.pipe()
    os.close(reader)
    process = start(what, "--state-dir", small, stdout=output)
    os.close(output)
    assert process.wait(30) == 141
    assert process.stderr.read() == b""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_leaves_no_part_of_a_file(large, start, tmp_path, sent, status):
    file = tmp_path / "export.jsonl"
    file.write_text("before")
    process = start(
        *("interceptions", "-f", "jsonl", "--state-dir", large[0], "--force", "--output", file)
    )
    await until(lambda: any(part.stat().st_size for part in tmp_path.glob(".*.part")))
    process.send_signal(sent)
    assert process.wait(30) == status
    assert process.stderr.read().decode().strip() == f"Cancelled: {file} is as it was."
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "before"


def test_the_output_is_the_default(ask):
    heading, *rows = csv.reader(ask("interceptions").stdout.splitlines())
    assert heading == [field.name for field in without_texts(INTERCEPTION_FIELDS)]
    assert len(rows) == 10
    assert rows[0][1] == "2025-10-09T08:53:20Z"


@pytest.mark.parametrize(
    ("args", "count"),
    [
        (("interceptions", "--user", "user3"), 1),
        (("interceptions", "--model", "gpt-5.0"), 4),
        (("interceptions", "--started-before", "2025-10-09T08:53:20.5Z"), 5),
        (("interceptions", "--with-texts"), 10),
        (("sessions",), 10),
        (("sessions", "--with-texts"), 10),
        (("usage", "--by", "model"), 3),
        (("usage", "--by", "model,user", "--started-after", "1d"), 0),
    ],
)
def test_filters_are_those_of_the_lists(ask, args, count):
    lines = ask(*args, "--format", "jsonl").stdout.splitlines()
    assert [type(json.loads(line)) for line in lines] == [dict] * count


def test_usage_has_a_column_for_each_dimension(ask):
    heading, *rows = csv.reader(ask("usage", "--by", "day,model").stdout.splitlines())
    assert heading[:3] == ["day", "model", "interceptions"]
    assert sorted(row[:3] for row in rows) == [
        ["2025-10-09", f"gpt-5.{number}", count] for number, count in enumerate("433")
    ]


def test_a_file_is_whole_and_replaced_on_demand(ask, tmp_path):
    file = tmp_path / "sessions.csv"
    result = ask("sessions", "-o", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"Exported 10 sessions to {file}." in result.stderr
    again = ask("sessions", "-o", str(file))
    assert again.exit_code == 1
    assert f"{file} exists: choose another file, or replace it with --force." in again.stderr
    assert ask("usage", "-o", str(file), "--force").exit_code == 0
    assert file.read_text().startswith("user,interceptions,")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--force",), "it is for --output FILE."),
        (("--raw", "-f", "jsonl"), "it is for CSV, not for --format jsonl."),
        (("--limit", "3"), "there is no option --limit"),
    ],
)
def test_what_cannot_be_is_wrong_usage(ask, args, said):
    result = ask("interceptions", *args)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_a_full_disk_is_said(start, small):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("a device of Linux's")
    with full.open("wb") as output:
        process = start("interceptions", "--state-dir", small, stdout=output)
        assert process.wait(30) == 1
    said = process.stderr.read().decode()
    assert said == "The output can't be written: No space left on device.\n"


def test_parquet_is_an_extra(ask, tmp_path):
    file = tmp_path / "usage.parquet"
    result = ask("usage", "-f", "parquet", "-o", str(file))
    if extras.missing_modules("parquet"):
        assert result.exit_code == 1
        assert "Parquet can't be written: a required library is not installed" in result.stderr
        assert not file.exists()
    else:
        assert result.exit_code == 0
        assert file.read_bytes()[:4] == file.read_bytes()[-4:] == b"PAR1"


def test_every_column_is_documented_with_its_type():
    page = (Path(__file__).parents[2] / "docs" / "record.md").read_text(encoding="utf-8")
    for heading, fields in (
        ("interceptions", INTERCEPTION_FIELDS),
        ("sessions", SESSION_FIELDS),
        ("usage", usage_fields([])),
    ):
        section = page.partition(f"### Columns of {heading}\n")[2].partition("\n#")[0]
        lines = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
        documented = [
            (name.strip().strip("`"), kind.strip())
            for _, names, kind, *_ in lines
            for name in names.split(",")
        ]
        assert sorted(documented) == sorted((each.name, each.type) for each in fields)


@pytest.mark.skipif(os.name != "posix", reason="a terminal of POSIX's")
def test_progress_is_shown_on_a_terminal(large, tmp_path):
    seen, terminal = os.openpty()
    command = [sys.executable, "-m", "aibridged", "export", "interceptions"]
    where = ("--state-dir", str(large[0]), "--output", str(tmp_path / "export.csv"))
    process = subprocess.Popen([*command, *where], stderr=terminal, start_new_session=True)
    os.close(terminal)
    text = b""
    try:
        while b"/s\x1b[K" not in text and (some := os.read(seen, 1024)):
            text += some
    finally:
        process.terminate()
        process.wait(30)
        os.close(seen)
    assert re.search(rb"\r[\d,]+ interceptions, [\d.]+ MB, [\d,]+/s\x1b\[K", text)
