"""What systemd is told, and what it passes: over real datagram sockets and file descriptors."""

import asyncio
import os
import socket
from contextlib import suppress

import pytest
from loguru import logger

from aibridged.daemon import systemd
from aibridged.daemon.systemd import (
    Notifier,
    PassedSocketError,
    passed_sockets,
    telling,
    watchdog_interval,
)

PID = 4711


@pytest.fixture
def manager(tmp_path):
    """A service manager's socket, which reads at once or not at all."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(0)
        yield listening


@pytest.fixture
def notifier(tmp_path):
    return Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})


@pytest.fixture
def warnings():
    lines = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


def test_it_says_what_the_protocol_wants(manager, notifier):
    assert notifier.is_heard
    notifier.ready()
    notifier.reloading(12.345678)
    notifier.stopping(90)
    notifier.status("two\nlines")
    notifier.alive()
    assert [manager.recv(200) for _ in range(5)] == [
        b"READY=1",
        b"RELOADING=1\nMONOTONIC_USEC=12345678",
        b"STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000",
        b"STATUS=two lines",
        b"WATCHDOG=1",
    ]


def test_a_status_is_told_once(manager, notifier):
    for text in ("one", "one", "two", "one"):
        notifier.status(text)
    assert [manager.recv(200) for _ in range(3)] == [b"STATUS=one", b"STATUS=two", b"STATUS=one"]
    with pytest.raises(BlockingIOError):
        manager.recv(200)


def test_an_abstract_socket_will_do():
    name = f"aibridged-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        listening.settimeout(0)
        assert listening.recv(200) == b"READY=1"


def test_without_a_socket_nothing_is_said(warnings):
    notifier = Notifier({})
    assert not notifier.is_heard
    notifier.ready()
    assert warnings == []


def test_other_addresses_are_named_and_left(warnings):
    notifier = Notifier({"NOTIFY_SOCKET": "vsock:2:1234"})
    notifier.ready()
    assert not notifier.is_heard
    [line] = warnings
    assert "NOTIFY_SOCKET" in line


def test_a_manager_that_is_gone_is_complained_of_once(tmp_path, warnings):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    for _ in range(3):
        notifier.alive()
    [line] = warnings
    assert "WATCHDOG=1" in line
    assert "No such file" in line


def test_a_manager_that_does_not_read_holds_nothing_up(manager, notifier, warnings):
    manager.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for _ in range(2000):
        notifier.alive()
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(PID)}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(environ, seconds):
    assert watchdog_interval(environ, PID) == seconds


async def test_the_watchdog_is_fed_while_the_loop_turns_and_only_then(manager, notifier):
    loop = asyncio.get_running_loop()
    with telling(notifier, {"WATCHDOG_USEC": "20000"}, PID, lambda: "fine"):
        got = [await loop.sock_recv(manager, 200) for _ in range(4)]
        assert got == [b"STATUS=fine", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        manager.settimeout(0.1)
        with pytest.raises(TimeoutError):
            manager.recv(200)  # the loop stands still here for ten intervals
        manager.settimeout(0)
        assert await loop.sock_recv(manager, 200) == b"WATCHDOG=1"
    await asyncio.sleep(0)
    with pytest.raises(BlockingIOError):
        manager.recv(200)


async def test_nobody_is_fed_without_a_socket():
    def status():
        raise AssertionError("nobody asked")

    with telling(Notifier({}), {"WATCHDOG_USEC": "20000"}, PID, status):
        await asyncio.sleep(0)


@pytest.fixture
def pass_on(monkeypatch):
    """Passes sockets, or whatever has a file descriptor, to this process under their names."""
    fds = []

    def passing(*files, **environ):
        # Above all that is open, so that they can be in a row.
        first = max(map(int, os.listdir("/proc/self/fd"))) + 10
        for place, file in enumerate(files):
            fds.append(os.dup2(file.fileno(), first + place))
        monkeypatch.setattr(systemd, "_FIRST_FD", first)
        given = {"LISTEN_PID": str(PID), "LISTEN_FDS": str(len(files)), **environ}
        return passed_sockets({name: value for name, value in given.items() if value}, PID)

    yield passing
    for fd in fds:
        with suppress(OSError):  # most were closed with their sockets
            os.close(fd)


@pytest.fixture
def listening():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    yield sockets
    for each in sockets:
        each.close()


def addresses(passed):
    """Their ports by name; and the sockets are closed, as if they had been used."""
    found = {name: [each.getsockname()[1] for each in sockets] for name, sockets in passed.items()}
    for sockets in passed.values():
        for each in sockets:
            assert not each.get_inheritable()
            assert not each.getblocking()
            each.close()
    return found


def test_sockets_come_by_name_and_unnamed_ones_are_the_gateways(pass_on, listening):
    one, two, three = (each.getsockname()[1] for each in listening)
    for names, expected in [
        ("", {"http": [one, two, three]}),
        ("http:metrics:proxy", {"http": [one], "metrics": [two], "proxy": [three]}),
        ("metrics:aibridged.socket:unknown", {"metrics": [one], "http": [two, three]}),
        ("http", {"http": [one, two, three]}),
    ]:
        assert addresses(pass_on(*listening, LISTEN_FDNAMES=names)) == expected


def test_what_was_passed_to_another_process_is_left_alone(pass_on, listening):
    assert pass_on(*listening, LISTEN_PID="1") == {}
    assert passed_sockets({}, PID) == {}


def test_what_cannot_be_listened_on_is_told(pass_on, listening, tmp_path):
    with pytest.raises(PassedSocketError, match=r"'metrcs'.*http, metrics, proxy or ui"):
        pass_on(listening[0], LISTEN_FDNAMES="metrcs")
    with (
        pytest.raises(PassedSocketError, match="is not a socket"),
        (tmp_path / "x").open("w") as file,
    ):
        pass_on(file)
    with pytest.raises(PassedSocketError, match="Accept=no"), socket.socket() as silent:
        pass_on(silent)
    with pytest.raises(PassedSocketError, match="LISTEN_FDS"):
        pass_on(LISTEN_FDS="many")


async def test_the_watchdog_is_not_fed_while_it_is_not_well(notifier, manager):
    asked = asyncio.Queue[None]()

    def is_well():
        asked.put_nowait(None)
        return False

    with telling(notifier, {"WATCHDOG_USEC": "2000"}, PID, lambda: "ill", is_well):
        for _ in range(3):
            await asked.get()
    assert manager.recv(4096) == b"STATUS=ill"
    with pytest.raises(BlockingIOError):
        manager.recv(4096)
