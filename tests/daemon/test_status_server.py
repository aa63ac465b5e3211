"""The status socket: who gets an answer, how many at a time, and what is left of it."""

import asyncio
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from loguru import logger

from aibridged.daemon import status_server, status_socket
from aibridged.daemon.status_server import PLACES, StatusServer
from aibridged.daemon.status_socket import (
    DAEMON,
    MAX_BYTES,
    NoDaemonError,
    PathTooLongError,
    address,
    ask,
)

Serve = Callable[..., StatusServer]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serves a document, in a directory of the test's own."""
    started: list[StatusServer] = []

    def serve(document: bytes = b"{}", held: asyncio.Event | None = None) -> StatusServer:
        async def read() -> bytes:
            if held is not None:
                await held.wait()
            return document

        server = StatusServer(tmp_path, DAEMON, read)
        server.start()
        started.append(server)
        return server

    yield serve
    for server in started:
        await server.close()


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The lines that are logged."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(sink)


async def asked(directory: Path, within: float = 5.0) -> bytes:
    return await asyncio.to_thread(ask, directory, DAEMON, within)


async def test_it_says_its_document_and_is_removed(serve: Serve, tmp_path: Path) -> None:
    server = serve(b'{"pid": 1}')
    assert stat.S_IMODE((tmp_path / DAEMON).stat().st_mode) == 0o600
    assert await asked(tmp_path) == b'{"pid": 1}'
    await server.close()
    assert not (tmp_path / DAEMON).exists()
    with pytest.raises(NoDaemonError, match="No daemon is running"):
        await asked(tmp_path)


async def test_the_umask_makes_no_difference(serve: Serve, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        serve()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / DAEMON).stat().st_mode) == 0o600


async def test_so_many_are_answered_at_a_time(tmp_path: Path) -> None:
    reading, held = asyncio.Semaphore(0), asyncio.Event()

    async def read() -> bytes:
        reading.release()
        await held.wait()
        return b"{}"

    server = StatusServer(tmp_path, DAEMON, read)
    server.start()
    streams = [
        await asyncio.open_unix_connection(str(tmp_path / DAEMON)) for _ in range(PLACES + 3)
    ]
    for _ in range(PLACES):
        await reading.acquire()
    for _ in range(50):
        await asyncio.sleep(0)
    assert reading.locked(), "the others wait in the backlog"
    held.set()
    for reader, writer in streams:
        assert await reader.read() == b"{}"
        writer.close()
    await server.close()


async def test_one_that_does_not_read_loses_its_place(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_server, "DEADLINE_S", 0.2)
    serve(b"x" * MAX_BYTES)
    silent = []
    for _ in range(PLACES):
        each = socket.socket(socket.AF_UNIX)
        each.connect(str(tmp_path / DAEMON))
        silent.append(each)
    assert len(await asked(tmp_path)) == MAX_BYTES
    for each in silent:
        each.close()


async def test_a_second_one_does_not_take_it(serve: Serve, tmp_path: Path, log: list[str]) -> None:
    serve(b"first")
    second = serve(b"second")
    assert await asked(tmp_path) == b"first"
    assert "another process serves it" in "".join(log)
    await second.close()
    assert await asked(tmp_path) == b"first"


async def test_what_a_killed_process_left_is_replaced(serve: Serve, tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / DAEMON))
    left.close()
    serve(b"{}")
    assert await asked(tmp_path) == b"{}"


async def test_a_file_of_another_kind_is_left_alone(
    serve: Serve, tmp_path: Path, log: list[str]
) -> None:
    (tmp_path / DAEMON).write_text("precious")
    await serve().close()
    assert (tmp_path / DAEMON).read_text() == "precious"
    assert "not a socket: move it away" in "".join(log)


async def test_another_processes_socket_is_not_removed(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    (tmp_path / DAEMON).unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / DAEMON))
        await server.close()
        assert (tmp_path / DAEMON).exists()


def test_a_path_that_is_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    with address(long, DAEMON) as path:
        assert len(path) < 100
    monkeypatch.setattr(status_socket, "_DESCRIPTORS", tmp_path / "no-proc")
    with (
        pytest.raises(PathTooLongError, match="choose a shorter --state-dir"),
        address(long, DAEMON),
    ):
        pass
    with pytest.raises(NoDaemonError, match="longer than the 107 bytes"):
        ask(long)


async def test_an_empty_document_is_a_daemon_that_ends(serve: Serve, tmp_path: Path) -> None:
    serve(b"")
    with pytest.raises(NoDaemonError, match="is just ending"):
        await asked(tmp_path)


def test_a_document_has_an_end(tmp_path: Path) -> None:
    """Whatever listens there may go on for ever."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / DAEMON))
        listening.listen()

        def go_on() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                while True:
                    connection.sendall(bytes(1 << 16))

        thread = threading.Thread(target=go_on)
        thread.start()
        with pytest.raises(NoDaemonError, match="is not an aibridged"):
            ask(tmp_path)
        thread.join()


async def test_the_answer_has_a_deadline(serve: Serve, tmp_path: Path) -> None:
    serve(b"{}", asyncio.Event())
    with pytest.raises(NoDaemonError, match=r"does not answer within 0\.1 s"):
        await asked(tmp_path, 0.1)
