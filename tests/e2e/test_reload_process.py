"""SIGHUP to the real process under load: no request fails, whatever the configuration becomes."""

import asyncio
import signal
from contextlib import asynccontextmanager

import pytest
import yaml

from aibridged.fake_provider import Script

BODY = {
    "model": "m",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "hi"}],
}


class Configured:
    """A daemon with a file of settings, and what the requests to it came to."""

    def __init__(self, folder, fake):
        self.file = folder / "settings.yaml"
        self.key = folder / "claude-key"
        self._fake = fake
        self.results = []
        self._came = asyncio.Condition()

    def write(self, *providers, **settings):
        """Write the file, with the provider `claude` and others, and one file with their key."""
        listed = [
            {
                "type": "anthropic",
                "name": name,
                "base_url": self._fake.base_url,
                "key_file": str(self.key),
            }
            for name in ("claude", *providers)
        ]
        self.file.write_text(yaml.safe_dump({"aibridge": {"providers": listed, **settings}}))

    async def start(self, start_daemon, *flags):
        self.daemon = await start_daemon("--config", str(self.file), *flags)

    async def reload(self, said, times=1):
        """Ask for a reload, and wait until it is said how it went."""
        self.daemon.process.send_signal(signal.SIGHUP)
        await self.daemon.until(said, times)

    async def ask(self, client, provider):
        async with client.post(f"{self.daemon.url}/{provider}/v1/messages", json=BODY) as response:
            body = await response.read()
            whole = b"message_stop" in body or response.status != 200
            return response.status if whole else "cut off"

    @asynccontextmanager
    async def load(self, client):
        """Meanwhile, four callers ask `claude` without a pause."""
        going = True

        async def send():
            while going:
                result = await self.ask(client, "claude")
                async with self._came:
                    self.results.append(result)
                    self._came.notify_all()

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(send())
            yield
            going = False

    async def more(self, count=20):
        """Let so many requests of the load end."""
        enough = len(self.results) + count
        async with self._came:
            await self._came.wait_for(lambda: len(self.results) >= enough)


@pytest.fixture
def configured(tmp_path, fake):
    made = Configured(tmp_path, fake)
    made.key.write_text("sk-ant-first")
    made.write()
    return made


async def test_keys_rotate_and_providers_come_and_go_under_load(
    configured, start_daemon, fake, client
):
    await configured.start(start_daemon)
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}))
    async with asyncio.TaskGroup() as group:
        stream = group.create_task(configured.ask(client, "claude"))
        await fake.received(1)
        async with configured.load(client):
            await configured.more()
            assert await configured.ask(client, "extra") == 400

            configured.key.write_text("sk-ant-second")
            await configured.reload("Reloaded: the key of provider claude")
            rotated_at = fake.seen
            await configured.more()

            configured.write("extra", max_concurrency=50)
            await configured.reload("--aibridge-max-concurrency, provider extra added")
            assert await configured.ask(client, "extra") == 200

            configured.file.write_text("aibridge:\n  providers: 3\n  rate_limit: many\n")
            await configured.reload("Nothing was reloaded")
            assert await configured.ask(client, "extra") == 200

            configured.write()
            await configured.reload("provider extra removed")
            assert await configured.ask(client, "extra") == 400
            await configured.more()
        assert not stream.done()
        gate.set()
    assert stream.result() == 200
    assert set(configured.results) == {200}
    keys = [request.header("x-api-key") for request in fake.requests]
    assert set(keys[:20]) == {"sk-ant-first"}
    assert set(keys[rotated_at + 4 :]) == {"sk-ant-second"}  # four may have been on their way
    assert not any("sk-ant" in line for line in configured.daemon.log)


async def test_what_is_wrong_is_said_as_check_config_says_it(configured, start_daemon):
    await configured.start(start_daemon)
    configured.file.write_text("aibridge:\n  rate_limit: many\n  retentoin: 3d\n")
    await configured.reload("Nothing was reloaded")
    file = configured.file
    wrong, unknown = sorted(line[23:] for line in configured.daemon.log if f"{file}:" in line)
    assert f" [ERROR]  {file}:2 aibridge.rate_limit: " in wrong
    assert "Correct or remove it: the default is 0." in wrong
    assert f"{file}:3 aibridge.retentoin: " in unknown
    assert "Did you mean aibridge.retention?" in unknown
    configured.key.unlink()
    configured.write()
    await configured.reload("Nothing was reloaded", times=2)
    assert any(
        f"({configured.key}): the file can't be read" in line for line in configured.daemon.log
    )


async def test_what_needs_a_restart_is_named_and_stays(configured, start_daemon, client):
    await configured.start(start_daemon)
    configured.write(auth="token", retention="3d")
    configured.file.write_text(
        configured.file.read_text() + "networking: {http: {shutdownTimeout: 1s}}\n"
    )
    await configured.reload("Reloaded: --aibridge-retention, --shutdown-timeout")
    # The environment outranks the file, so that nothing is said of --aibridge-auth.
    assert not any("A restart is required" in line for line in configured.daemon.log)
    configured.write(structured_logging=True, api_dump_dir="")
    await configured.reload("A restart is required for changes of --aibridge-structured-logging")
    assert await configured.ask(client, "claude") == 200


async def test_the_log_level_changes(configured, start_daemon, client):
    await configured.start(start_daemon)

    async def ask_badly():
        async with client.get(configured.daemon.url, headers={"Content-Length": "x"}) as response:
            assert response.status == 400

    await ask_badly()
    configured.file.write_text("introspection: {logging: {verbose: true}}\n")
    await configured.reload("Reloaded: --verbose")
    assert not any("is not valid HTTP" in line for line in configured.daemon.log)
    await ask_badly()
    await configured.daemon.until("is not valid HTTP")
    configured.file.write_text("introspection: {logging: {humanPath: /proc/nothing}}\n")
    await configured.reload("Nothing was reloaded")
    await ask_badly()
    await configured.daemon.until("is not valid HTTP", times=2)


async def test_hangups_in_a_row_and_at_the_end_harm_nothing(configured, start_daemon, fake, client):
    await configured.start(start_daemon)
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}))
    async with asyncio.TaskGroup() as group:
        stream = group.create_task(configured.ask(client, "claude"))
        await fake.received(1)
        for number in range(20):
            configured.write(rate_limit=number + 1)
            configured.daemon.process.send_signal(signal.SIGHUP)
        configured.write(rate_limit=0, send_actor_headers=True)
        await configured.reload("--aibridge-send-actor-headers")
        configured.daemon.process.terminate()
        await configured.daemon.until("Shutting down")
        configured.write(allow_byok=False)
        configured.daemon.process.send_signal(signal.SIGHUP)
        gate.set()
    assert stream.result() == 200
    assert await configured.daemon.process.wait() == 0
    assert not any("--aibridge-allow-byok" in line for line in configured.daemon.log)
