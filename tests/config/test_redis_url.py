"""URLs of Redis servers: what is accepted, and mistakes that don't quote a password."""

import pytest

from aibridged.config.key_mistakes import WrongTextError
from aibridged.config.redis_url import read_redis_url


@pytest.mark.parametrize(
    "text",
    [
        "redis://localhost",
        "redis://:pw@redis.example.com:6379/15",
        "rediss://user:p%40w@[::1]:6380/0?ssl_ca_certs=/etc/ca.pem",
        "redis://h?db=3",
        "unix:///run/redis/redis.sock?db=1&password=pw",
    ],
)
def test_what_is_one(text):
    found = read_redis_url(f" {text}\n")
    assert found is not None
    assert found.reveal() == text


def test_none():
    assert read_redis_url("  ") is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("canary", "is not the URL of a Redis server"),
        ("http://:canary@h", "is not the URL of a Redis server"),
        ("redis://:canary@", "is not the URL of a Redis server"),
        ("redis:///canary.sock", "is not the URL of a Redis server"),
        ("unix:", "is not the URL of a Redis server"),
        ("redis://:can ary@h", "a character that is invalid"),
        ("redis://h:canary", "is not a valid URL"),
        ("redis://h:99999/canary", "is not a valid URL"),
        ("redis://:canary@h:0", "no server's"),
        ("redis://h/0#canary", "no server's"),
        ("redis://h/canary", "names a database that is no number"),
        ("redis://h?db=canary", "names a database that is no number"),
        ("redis://h?canary", "is not a valid URL"),
        ("redis://h?max_connections=canary", "has a parameter that is not known"),
        ("redis://h?ssl_ca_certs=canary", "has a parameter that is not known"),
        ("rediss://h?ssl_cert_reqs=none&db=1", "has a parameter that is not known"),
    ],
)
def test_what_is_none_is_said_without_a_quote(text, what):
    with pytest.raises(WrongTextError, match=what) as error:
        read_redis_url(text)
    assert "canary" not in f"{error.value} {error.value.remedy}"
