"""News between replicas, by a real Redis."""

import msgspec
import pytest

from aibridged.limits.redis_script import CHANNEL, MAX_NEWS_BYTES, News, decode_news
from tests.waiting import until


async def test_all_others_hear_at_once(patient, join):
    one, other, third = [await join() for _ in range(3)]
    heard = []
    for name, replica in (("one", one), ("other", other), ("third", third)):
        replica.news.on("changed", lambda left, body, name=name: heard.append((name, left, body)))
    one.news.tell("changed", "ada")
    one.news.tell("unknown", "x")
    await until(lambda: len(heard) == 2)
    assert sorted(heard) == [("other", 0, "ada"), ("third", 0, "ada")]


async def test_when_it_listens_again_what_was_missed_is_looked_for(patient, join, redis_server):
    replica, times = await join(), []
    replica.news.on_listening["test"] = lambda: times.append(1)
    redis_server.kill()
    await until(lambda: not replica.news.is_listening)
    redis_server.start()
    await until(lambda: times == [1])
    heard = []
    replica.news.on("changed", lambda _left, body: heard.append(body))
    redis_server.client.publish(CHANNEL, msgspec.msgpack.encode(News("", "changed", 0, "x")))
    await until(lambda: heard == ["x"])


async def test_messages_of_others_change_nothing(patient, join, redis_server):
    replica, heard = await join(), []
    replica.news.on("changed", lambda _left, body: heard.append(body))
    for message in (b"", b"\x00", b"hello", b"\xc1" * 100, b"x" * 100_000):
        redis_server.client.publish(CHANNEL, message)
    redis_server.client.publish(CHANNEL, msgspec.msgpack.encode(News("", "changed", 0, "x")))
    await until(lambda: heard == ["x"])
    assert replica.news.is_listening


@pytest.mark.parametrize(
    "message",
    [
        None,
        "text",
        b"",
        msgspec.msgpack.encode(["a", "b", "c", "d"]),
        msgspec.msgpack.encode(["a", "b", 1]),
        msgspec.msgpack.encode(News("", "changed", 0, "x" * MAX_NEWS_BYTES)),
    ],
)
def test_what_is_no_news(message):
    assert decode_news(message) is None
