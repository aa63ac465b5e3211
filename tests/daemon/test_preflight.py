"""What keeps the daemon from starting is what `check-config` says, in the same words."""

import asyncio
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from aibridged.cli import build
from aibridged.config import load
from aibridged.config.private_file import why_not_writable
from aibridged.config.resolution import Resolution
from aibridged.daemon.gateway import CannotStartError, Gateway
from aibridged.daemon.preflight import with_preflight, with_start
from aibridged.records import migrations
from aibridged.records.database import database_url, make_engine


@pytest.fixture
def resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Resolve flags, with a state directory of the test's own and any port."""
    for name in os.environ:
        if name.startswith(("CODER_", "OTEL_")):
            monkeypatch.delenv(name)

    def resolve(**flags: object) -> Resolution:
        texts = {"state_dir": tmp_path / "state", "http_address": "127.0.0.1:0", **flags}
        given = {f"--{name.replace('_', '-')}": str(text) for name, text in texts.items()}
        return load.resolve(given, os.environ)

    return resolve


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


STATIC = [
    ({"state_dir": "{file}/x"}, "--state-dir: {file}/x can't be used: {file} is not a directory."),
    (
        {"aibridge_dump_dir": "{file}/x"},
        "--aibridge-dump-dir: {file}/x can't be used: {file} is not",
    ),
    ({"log_json": "/nowhere/log"}, "--log-json: the directory doesn't exist: /nowhere."),
    ({"log_human": "{folder}"}, "--log-human: is a directory: {folder}."),
    (
        {"trace": "true", "OTEL_EXPORTER_OTLP_PROTOCOL": "pigeon"},
        "--trace: OTEL_EXPORTER_OTLP_PROTOCOL is 'pigeon'. → Choose grpc or http/protobuf.",
    ),
]


@pytest.mark.parametrize(("given", "said"), STATIC)
def test_serve_and_check_config_say_the_same(given, said, tmp_path, monkeypatch) -> None:
    file = tmp_path / "file"
    file.touch()
    places = {"file": file, "folder": tmp_path}
    args = ["--http-address", "127.0.0.1:0", "--state-dir", str(tmp_path / "state")]
    for name, text in given.items():
        if name.startswith("OTEL_"):
            monkeypatch.setenv(name, text)
        else:
            args += [f"--{name.replace('_', '-')}={text.format(**places)}"]
    served, checked = (
        CliRunner().invoke(build(), [name, *args]) for name in ("serve", "check-config")
    )
    assert (served.exit_code, checked.exit_code) == (1, 1)
    assert served.stderr.strip() in checked.stdout
    assert said.format(**places) in " ".join(served.stderr.split())
    assert not (tmp_path / "state").exists()


async def start(resolution: Resolution) -> str:
    """What the daemon says that can't start."""
    assert resolution.settings is not None
    with pytest.raises(CannotStartError) as told:
        await Gateway(resolution.settings).start()
    return str(told.value)


async def found(resolution: Resolution) -> str:
    """What `check-config` says of the same settings."""
    checked = await asyncio.to_thread(with_start, resolution)
    assert checked.settings is None
    [mistake] = checked.mistakes
    return f"{mistake.what}. {mistake.remedy}"


@pytest.mark.parametrize(
    ("address", "why", "remedy"),
    [
        ("192.0.2.200:4001", "Cannot assign requested address", "This machine has no such address"),
        (
            "nowhere.invalid:4001",
            "the name nowhere.invalid has no address",
            "Set --http-address to",
        ),
    ],
)
async def test_an_address_that_cannot_be(resolve, address: str, why: str, remedy: str) -> None:
    resolution = resolve(http_address=address)
    said = await start(resolution)
    assert said.startswith(f"Cannot listen on {address}: {why}. {remedy}")
    assert await found(resolution) == said


async def test_the_address_of_the_metrics_and_the_proxy_are_tried_too(resolve) -> None:
    resolution = resolve(prometheus_enable="true", prometheus_address="192.0.2.200:1")
    assert "--prometheus-address" in await start(resolution)
    assert "--prometheus-address" in await found(resolution)


async def test_an_address_in_use_may_be_the_daemons_own(resolve, taken: int) -> None:
    resolution = resolve(http_address=f"127.0.0.1:{taken}")
    said = await start(resolution)
    assert f"(ss -ltnp sport = :{taken} names it)" in said
    checked = await asyncio.to_thread(with_start, resolution)
    assert checked.settings is not None
    [warning] = checked.warnings
    assert warning.startswith(f"Cannot listen on 127.0.0.1:{taken}: Address already in use. Unless")


async def test_a_database_that_nobody_answers_for(resolve) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        resolution = resolve(postgres_url=f"postgres://u:canary@127.0.0.1:{port}/d")
        said = await start(resolution)
        assert f"Check that PostgreSQL runs (postgresql://127.0.0.1:{port}/d)" in said
        assert "canary" not in said
        assert await found(resolution) == said


async def test_a_database_of_a_later_release(resolve, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    engine = make_engine(database_url(tmp_path / "state"))
    migrations.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE aibridged_schema_version SET version_num = 'r9999'"))
    said = await start(resolve())
    assert said.startswith("The database was made by a later release of aibridged. Use that one")
    assert await found(resolve()) == said


def test_nothing_is_created(resolve, tmp_path: Path) -> None:
    checked = with_start(with_preflight(resolve(aibridge_dump_dir=tmp_path / "a" / "dumps")))
    assert checked.mistakes == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_state_directory_that_cannot_be_used(resolve, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "spool.jsonl").symlink_to("/dev/null")
    [mistake] = with_preflight(resolve()).mistakes
    assert re.search(r"spool.jsonl can't be used: it is a symbolic link", mistake.what)


_OPEN_AND_CLOSE = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    database.execute("SELECT count(*) FROM a")
database.close()
"""


def test_a_reload_leaves_the_locks_of_the_open_database(resolve, tmp_path: Path) -> None:
    """Else the next command that closes the database would remove its WAL under the daemon."""
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "aibridged.db"
    daemon = sqlite3.connect(file)
    with closing(daemon):
        daemon.execute("PRAGMA journal_mode = WAL")
        daemon.execute("CREATE TABLE a (b)")
        assert with_preflight(resolve()).mistakes == []
        make_engine(database_url(tmp_path / "state")).dispose()
        subprocess.run([sys.executable, "-c", _OPEN_AND_CLOSE, file], check=True)
        assert file.with_name("aibridged.db-wal").exists()
        daemon.execute("INSERT INTO a VALUES (1)")


def test_disabled_nothing_is_looked_at(resolve, tmp_path: Path) -> None:
    resolution = resolve(aibridge_enabled="false", state_dir=f"{__file__}/x")
    assert with_start(with_preflight(resolution)) is resolution


def test_why_a_directory_is_not_writable(tmp_path: Path, monkeypatch) -> None:
    assert why_not_writable(tmp_path / "a" / "b") is None
    assert why_not_writable(Path(__file__) / "x") == f"{__file__} is not a directory"
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert why_not_writable(tmp_path / "a") == f"no permission to write to {tmp_path}"


def test_a_setting_of_the_file_is_named_with_its_line(resolve, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"aibridge:\n  api_dump_dir: {__file__}/x\n")
    [mistake] = with_preflight(resolve(config=file)).mistakes
    assert mistake.where == f"{file}:2 aibridge.api_dump_dir"
