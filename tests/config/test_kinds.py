"""Each kind of value: what it takes, what it refuses and in which words."""

import ipaddress
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.config import kinds
from aibridged.config.kinds import Address, Kind
from aibridged.config.secret import Secret

TAKEN: list[tuple[Kind[Any], str, object]] = [
    *((kinds.BOOL, text, True) for text in ("true", "True", "TRUE", "t", "T", "1")),
    *((kinds.BOOL, text, False) for text in ("false", "False", "FALSE", "f", "F", "0")),
    (kinds.COUNT, "0", 0),
    (kinds.COUNT, "+7", 7),
    (kinds.POSITIVE, "1", 1),
    (kinds.SIZE, "1048576", 1048576),
    (kinds.SIZE, "32MiB", 32 * 1024 * 1024),
    (kinds.SIZE, "5 KiB", 5 * 1024),
    (kinds.SIZE_OR_AUTO, "auto", None),
    (kinds.SIZE_OR_AUTO, "1GiB", 1024**3),
    (kinds.DURATION, "0", 0.0),
    (kinds.POSITIVE_DURATION, "1m", 60.0),
    (kinds.GRACE, "never", math.inf),
    (kinds.GRACE, "0s", 0.0),
    (kinds.GRACE, "5m", 300.0),
    (kinds.PATH, "", None),
    (kinds.PATH, "/a/b", Path("/a/b")),
    (kinds.LOG_TARGET, "", ""),
    (kinds.SECRET, "", None),
    (kinds.SECRET, "sk-1", Secret("sk-1")),
    (kinds.WEBHOOK_URL, "", None),
    (kinds.PERCENTAGES, "", ()),
    (kinds.PERCENTAGES, "100, 80,50%,80", (50, 80, 100)),
    (kinds.BASE_URL, "https://api.openai.com/v1/", "https://api.openai.com/v1"),
    (kinds.BASE_URL, "http://[::1]:8000", "http://[::1]:8000"),
    (kinds.ADDRESS, "127.0.0.1:4001", Address("127.0.0.1", 4001)),
    (kinds.ADDRESS, "[::1]:0", Address("::1", 0)),
    (kinds.ADDRESS, ":4001", Address("", 4001)),
    (kinds.ADDRESS, "gateway.example.com:80", Address("gateway.example.com", 80)),
    (kinds.HEADERS, "X-Forwarded-For, X-Real-Ip", ("X-Forwarded-For", "X-Real-Ip")),
    (kinds.HEADERS, "", ()),
    (
        kinds.NETWORKS,
        "10.0.0.0/8,192.0.2.1,::1",
        tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "192.0.2.1/32", "::1/128"))),
    ),
    (kinds.WORDS, "openid, profile,email", ("openid", "profile", "email")),
    *(
        (kinds.ISSUER_URL, text, text)
        for text in ("", "https://id.example.com/realms/a/", "http://127.0.0.1:8080/realms/a")
    ),
    (kinds.PATTERNS, '.*,"a{1,2}"', (".*", "a{1,2}")),
]
REFUSED: list[tuple[Kind[Any], str, str]] = [
    *((kinds.BOOL, text, "neither true nor false") for text in ("yes", "on", "", "tRue", "2")),
    (kinds.COUNT, "-1", "less than 0"),
    *((kinds.COUNT, text, "not an integer") for text in ("", "1.5", "1e3", "1_000", "٣")),
    (kinds.POSITIVE, "0", "less than 1"),
    (kinds.WORKERS, "0", "less than 1"),
    (kinds.WORKERS, "129", "129 is more than 128"),
    (kinds.REPLICAS, "1001", "1001 is more than 1000"),
    (kinds.SIZE, "0", "would reject every request"),
    *((kinds.SIZE, text, "not a number of bytes") for text in ("", "32MB", "-1", "1.5MiB")),
    (kinds.DURATION, "10", "has no unit"),
    (kinds.ISSUER_URL, "http://id.example.com", "is not an https:// URL"),
    (kinds.ISSUER_URL, "id.example.com", "has no https://"),
    (kinds.ISSUER_URL, "https://id.example.com?a=b", "contains a ?"),
    (kinds.REGEX, "team-(", "is not a regular expression"),
    (kinds.ADDRESS, "http://127.0.0.1:4001", "is a URL"),
    (kinds.ADDRESS, "x:65536", "the port 65536 is more than 65535"),
    (kinds.BASE_URL, "api.x.com", "has no https:// or http:// in front"),
    (kinds.DIRECTORY, "", "is empty"),
    (kinds.DIRECTORY, "~nobody-has-this-name/x", "the name of no user"),
    (kinds.POSITIVE_DURATION, "0", "greater than 0"),
    *((kinds.GRACE, text, "not a duration") for text in ("", "ever", "Never", "inf")),
    (kinds.PATH, "a\0b", "NUL"),
    (kinds.LOG_TARGET, "a\0b", "NUL"),
    (kinds.SECRET, "a b", "contains a space"),
    (kinds.SECRET, "ä", "invalid in a key"),
    (kinds.WEBHOOK_URL, "hooks.example.com/x", "is not a URL like https://"),
    (kinds.WEBHOOK_URL, "https://user:pw@hooks.example.com/x", "a user or a password"),
    (kinds.WEBHOOK_URL, "https://hooks.example.com/ x", "a space"),
    (kinds.WEBHOOK_URL, "https://hooks.example.com:x/", "is not a valid URL"),
    (kinds.PERCENTAGES, "0", "is not a percentage"),
    (kinds.PERCENTAGES, "101", "is not a percentage"),
    (kinds.PERCENTAGES, "x", "is not a percentage"),
    (kinds.PERCENTAGES, ",".join(map(str, range(1, 12))), "more than 10"),
    (kinds.SECRET_URL, "mysql://host/d", "is not the URL of a PostgreSQL database"),
    (kinds.SECRET_URL, "host=h user=u", "is not the URL of a PostgreSQL database"),
    *((kinds.BASE_URL, text, "not a URL like") for text in ("", "ftp://x", "http:///v1")),
    (kinds.BASE_URL, "http://[::1", "not a valid URL"),
    (kinds.BASE_URL, "http://x:99999", "not a valid URL"),
    (kinds.BASE_URL, "http://x/a b", "invalid in a URL"),
    *((kinds.BASE_URL, text, "a user or a password") for text in ("http://u@x", "http://:p@x")),
    *((kinds.BASE_URL, text, "contains a [?] or a #") for text in ("http://x?", "http://x/#a")),
    *(
        (kinds.ADDRESS, text, "not an address")
        for text in ("", "4001", "127.0.0.1", "x:", "x:http", "x:-1")
    ),
    (kinds.ADDRESS, "::1:4001", "go in brackets"),
    (kinds.ADDRESS, "[nope]:1", "not an IPv6 address"),
    (kinds.ADDRESS, "a b:1", "not a host"),
    (kinds.HEADERS, "X Real", "not a valid header name"),
    (kinds.PATTERNS, "a\nb", "on one line"),
    (kinds.NETWORKS, "10.0.0.1/8", "an address in 10.0.0.0/8: write that"),
    (kinds.PATTERNS, "(", "not a regular expression"),
]


@pytest.mark.parametrize(("kind", "text", "value"), TAKEN)
def test_takes(kind: Kind[Any], text: str, value: object) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(("kind", "text", "value"), TAKEN)
def test_shows_what_it_would_take_again(kind: Kind[Any], text: str, value: Any) -> None:
    if kind not in (kinds.SECRET, kinds.WEBHOOK_URL):
        assert kind.parse(kind.show(value)) == value


@pytest.mark.parametrize(("kind", "text", "words"), REFUSED)
def test_refuses(kind: Kind[Any], text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kind.parse(text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kinds.SECRET, "canary canary"),
        (kinds.WEBHOOK_URL, "https://x/canary canary"),
        (kinds.WEBHOOK_URL, "ftp://x/canary"),
        (kinds.BASE_URL, "canary canary"),
        (kinds.BASE_URL, "http://canary:canary@x"),
        (kinds.BASE_URL, "http://[canary"),
        (kinds.BASE_URL, "http://x?canary"),
        (kinds.BASE_URL, "http://x/canary canary"),
    ],
)
def test_what_may_hold_a_secret_is_not_quoted(kind: Kind[Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has|contains) ") as caught:
        kind.parse(text)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (1023, "1023"), (2048, "2KiB"), (2**30, "1GiB"), (2**20 + 1, "1048577")],
)
def test_shows_a_size_exactly(value: int, text: str) -> None:
    assert kinds.SIZE.show(value) == text


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))))
def test_a_list_survives_being_joined(texts: list[str]) -> None:
    clean = [text.strip() for text in texts if text.strip()]
    assert list(kinds.items(kinds.joined(clean))) == clean


@given(
    st.text(max_size=20), st.sampled_from(sorted({id(k): k for k, *_ in TAKEN}.values(), key=id))
)
def test_any_text_is_a_value_or_a_value_error(text: str, kind: Kind[Any]) -> None:
    try:
        value = kind.parse(text)
    except ValueError:
        return
    assert isinstance(kind.show(value), str)
