"""Connections to a real server: with a password, by few rights, with a wrong password."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from aibridged.config.kinds import Address
from aibridged.config.options import Settings
from aibridged.config.resolution import Resolution
from aibridged.config.secret import Secret
from aibridged.core.concurrency import Slots
from aibridged.daemon.preflight import with_start
from aibridged.limits.redis_limits import Wanted
from aibridged.limits.redis_script import CHANGED, CHANNEL, PREFIX, SPEND_LIMITS, Code, decode_news
from aibridged.limits.redis_server import tell_once, why_away
from tests.waiting import until

DOCS = Path(__file__).parents[2] / "docs" / "replicas.md"


def _line():
    (line,) = re.findall(r"^user aibridged .*$", DOCS.read_text(), re.MULTILINE)
    return line


def _as_user(url):
    return f"{url}?password=PASSWORD".replace("unix://", "unix://aibridged@")


async def test_the_rights_that_the_docs_name_are_enough(patient, join, redis_server, tmp_path):
    redis_server.kill()
    settings = tmp_path / "redis.conf"
    settings.write_text(f"{_line()}\n")
    redis_server.command.insert(1, str(settings))
    redis_server.start()
    replica = await join(slots=1, rate=5, url=_as_user(redis_server.url))
    await until(lambda: replica.lane.is_up and replica.news.is_listening)
    wanted = Wanted(slot=True, caller=b"x" * 16, rate=5)
    assert await replica.limits.admit(wanted, replica.rates) is Code.ADMITTED
    assert replica.limits.local == 0
    assert isinstance(replica.slots, Slots)


async def test_a_wrong_password_is_told_and_not_quoted(join, redis_server):
    redis_server.client.execute_command("CONFIG", "SET", "requirepass", "right")
    redis_server.client.execute_command("AUTH", "right")
    replica = await join(url=f"{redis_server.url}?password=canary")
    await until(lambda: "password" in replica.lane.reason)
    assert "canary" not in replica.lane.reason


def test_a_command_tells_what_may_have_changed(redis_server):
    listening = redis_server.client.pubsub(ignore_subscribe_messages=True)
    listening.subscribe(CHANNEL)
    assert tell_once(redis_server.url) is None
    kinds = []
    while len(kinds) < 2:
        if (message := listening.get_message(timeout=5)) is not None:
            kinds.append(decode_news(message["data"]).kind)
    assert kinds == [CHANGED, SPEND_LIMITS]
    listening.close()
    redis_server.kill()
    assert isinstance(tell_once(redis_server.url), redis.ConnectionError)


@pytest.fixture
def warnings(tmp_path):
    """What a check of the settings warns of, with this URL."""

    def warnings(url):
        settings = replace(Settings(), state_dir=tmp_path, auth="none", redis_url=Secret(url))
        addresses = {"http_address": Address("127.0.0.1", 0), "replicas": 2}
        return with_start(Resolution(replace(settings, **addresses), (), [], [])).warnings

    return warnings


def test_a_check_of_the_settings_tries_every_right_of_the_user(redis_server, warnings):
    rules = _line().split()[1:]
    redis_server.client.execute_command("ACL", "SETUSER", *rules)
    url = _as_user(redis_server.url)
    assert warnings(url) == []
    commands = [rule[1:] for rule in rules if rule.startswith("+") and rule != "+@connection"]
    assert len(commands) > 10
    for lacking in [*(f"-{each}" for each in commands), "resetkeys", "resetchannels"]:
        redis_server.client.execute_command("ACL", "SETUSER", *rules, lacking)
        (warning,) = warnings(url)
        assert warning.startswith("The Redis user lacks a command, keys or the channel"), lacking
        redis_server.client.execute_command("ACL", "SETUSER", *rules)
    assert redis_server.client.hgetall(f"{PREFIX}replicas") == {}


def test_a_check_of_the_settings_warns_of_one_that_is_away(redis_server, warnings):
    assert why_away(redis_server.url) is None
    assert warnings(redis_server.url) == []
    (warning,) = warnings("redis://:canary@127.0.0.1:1/0")
    assert warning.startswith("Redis is away at redis://127.0.0.1:1 (")
    assert "canary" not in warning
