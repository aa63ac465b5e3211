"""Under a service manager: a socket that listens to the real process, and sockets passed to it."""

import asyncio
import signal
import socket
from contextlib import AsyncExitStack

import aiohttp
import pytest

from aibridged.fake_provider import Script

PATH = "/anthropic/v1/messages"
REQUEST = {
    "model": "m",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "hi"}],
}


class Manager:
    """The manager's end of NOTIFY_SOCKET."""

    def __init__(self, listening):
        self._listening = listening

    async def hears(self, beginning):
        """The next message that begins so; what came before it is dropped."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            while True:
                message = (await loop.sock_recv(self._listening, 4096)).decode()
                if message.startswith(beginning):
                    return message


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield Manager(listening)


@pytest.fixture
def variables(tmp_path):
    return {"NOTIFY_SOCKET": str(tmp_path / "notify")}


async def stopped(daemon):
    """Let it end; its exit status."""
    daemon.process.terminate()
    async with asyncio.timeout(10):
        return await daemon.process.wait()


async def test_a_life_as_systemd_is_told_of_it(start_daemon, fake, manager, variables):
    daemon = await start_daemon(**variables, CODER_SHUTDOWN_TIMEOUT="100s")
    assert await manager.hears("READY") == "READY=1"
    status = await manager.hears("STATUS")
    providers = "anthropic, openai, copilot, copilot-business, copilot-enterprise"
    assert status == f"STATUS=serving; requests in flight: 0; providers: {providers}"
    before = asyncio.get_running_loop().time()
    daemon.process.send_signal(signal.SIGHUP)
    _, stamp = (await manager.hears("RELOADING")).split("\n")
    microseconds = int(stamp.removeprefix("MONOTONIC_USEC="))
    assert before <= microseconds / 1_000_000 <= asyncio.get_running_loop().time()
    assert await manager.hears("READY") == "READY=1"
    daemon.process.terminate()
    assert await manager.hears("STOPPING") == "STOPPING=1\nEXTEND_TIMEOUT_USEC=130000000"
    assert await daemon.process.wait() == 0


async def test_a_reload_that_fails_ends_for_systemd_too(start_daemon, manager, variables, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("aibridge: {}\n")
    daemon = await start_daemon("--config", str(file), **variables)
    await manager.hears("READY")
    file.write_text("aibridge: {rate_limit: many}\n")
    daemon.process.send_signal(signal.SIGHUP)
    await manager.hears("RELOADING")
    assert await manager.hears("READY") == "READY=1"


async def test_the_watchdog_is_fed_while_the_loop_turns(start_daemon, manager, variables):
    daemon = await start_daemon(**variables, WATCHDOG_USEC="200000")
    loop = asyncio.get_running_loop()
    await manager.hears("WATCHDOG")
    began = loop.time()
    for _ in range(3):
        await manager.hears("WATCHDOG")
    assert 0.2 < loop.time() - began < 3.0  # each after 0.1 s, on a machine that is busy
    assert await stopped(daemon) == 0


async def test_a_start_that_fails_says_why(start_daemon, manager, variables):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AssertionError):
            await start_daemon(**variables, CODER_HTTP_ADDRESS=address)
    assert f"Cannot listen on {address}" in await manager.hears("STATUS")


async def ask(client, url):
    async with client.post(url + PATH, json=REQUEST) as response:
        return response.status, b"message_stop" in await response.read()


async def test_passed_sockets_are_listened_on_in_place_of_the_address(start_daemon, fake, tmp_path):
    path = str(tmp_path / "gateway.sock")
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(path)
        unix.listen()
        daemon = await start_daemon(passed=[four, six, unix])
        urls = [f"http://127.0.0.1:{four.getsockname()[1]}", f"http://[::1]:{six.getsockname()[1]}"]
        [line] = [line for line in daemon.log if "listens on" in line]
        assert f"{urls[0]} and {urls[1]} and unix:{path};" in line
        await daemon.until("--http-address 127.0.0.1:0 is ignored")
        async with aiohttp.ClientSession() as client:
            for url in urls:
                assert await ask(client, url) == (200, True)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as client:
            assert await ask(client, "http://gateway") == (200, True)
        assert await stopped(daemon) == 0
        assert (tmp_path / "gateway.sock").exists()  # it is the manager's, who passes it again


async def test_a_socket_for_what_is_off_is_named(start_daemon):
    with (
        socket.create_server(("127.0.0.1", 0)) as http,
        socket.create_server(("127.0.0.1", 0)) as metrics,
    ):
        daemon = await start_daemon(passed=[metrics, http], LISTEN_FDNAMES="metrics:http")
        assert daemon.url == f"http://127.0.0.1:{http.getsockname()[1]}"
        await daemon.until("metrics")


@pytest.mark.parametrize("names", ["metrcs", ""])
async def test_a_socket_that_cannot_be_used_is_one_clear_line(start_daemon, names):
    """One has an unknown name, the other lets strangers in to a daemon that asks nobody."""
    with (
        socket.create_server(("0.0.0.0", 0)) as open_to_all,
        pytest.raises(AssertionError) as caught,
    ):
        await start_daemon(passed=[open_to_all], LISTEN_FDNAMES=names)
    [line] = str(caught.value).splitlines()
    assert ("FileDescriptorName=" if names else "authentication is disabled") in line


class Traffic:
    """Requests one after the other on each of several clients, until there were enough."""

    def __init__(self, url, count):
        self._url = url
        self._left = count
        self.results = []
        self._progress = asyncio.Event()

    async def send(self, client):
        while self._left:
            self._left -= 1
            try:
                self.results.append(await ask(client, self._url))
            except (aiohttp.ClientError, OSError) as error:
                self.results.append(error)
            self._progress.set()

    async def reached(self, count):
        while len(self.results) < count:
            self._progress.clear()
            await self._progress.wait()


@pytest.mark.drill
async def test_200_requests_across_a_restart_and_none_fails(start_daemon, fake, tmp_path):
    """Half of the clients keep their connections, the others make one for each request.

    Two streams that began before last until the first daemon is leaving.
    """
    state = str(tmp_path / "state")
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}, times=2))
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        clients = [
            await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=number % 2 == 0))
            )
            for number in range(8)
        ]
        first = await start_daemon(passed=[listening], CODER_STATE_DIR=state)
        traffic = Traffic(first.url, 200)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            long = [group.create_task(ask(client, first.url)) for client in clients[:2]]
            await fake.received(2)
            for client in clients:
                group.create_task(traffic.send(client))
            await traffic.reached(50)
            first.process.terminate()
            await first.until("Shutting down")
            gate.set()
            assert await first.process.wait() == 0
            second = await start_daemon(passed=[listening], CODER_STATE_DIR=state)
        assert [task.result() for task in long] == [(200, True)] * 2
        assert traffic.results == [(200, True)] * 200
        assert not any("cut off" in line for line in first.log)
        assert await stopped(second) == 0
    assert fake.seen == 202


async def test_what_connects_while_it_drains_waits_for_the_next(start_daemon, fake, tmp_path):
    state = str(tmp_path / "state")
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}))
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        one, two = [await stack.enter_async_context(aiohttp.ClientSession()) for _ in range(2)]
        first = await start_daemon(passed=[listening], CODER_STATE_DIR=state)
        async with asyncio.TaskGroup() as group:
            stream = group.create_task(ask(one, first.url))
            await fake.received(1)
            first.process.terminate()
            await first.until("Shutting down")
            waiting = group.create_task(ask(two, first.url))
            gate.set()
            assert await stream == (200, True)
            assert await first.process.wait() == 0
            assert not waiting.done()
            await start_daemon(passed=[listening], CODER_STATE_DIR=state)
        assert waiting.result() == (200, True)


async def test_a_connection_that_is_kept_alive_gets_one_answer_more(start_daemon, fake):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        daemon = await start_daemon(passed=[listening])
        async with aiohttp.ClientSession() as client:
            assert await ask(client, daemon.url) == (200, True)
            daemon.process.terminate()
            await daemon.until("Shutting down")
            async with client.post(daemon.url + PATH, json=REQUEST) as response:
                assert response.status == 200
                assert response.headers["Connection"] == "close"
                assert b"message_stop" in await response.read()
            assert await daemon.process.wait() == 0
