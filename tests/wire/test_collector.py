"""The room that one response's facts have, and the words for its errors."""

import msgspec
import pytest

from aibridged.wire import collector as gathering_module
from aibridged.wire.bounds import ABSENT
from aibridged.wire.collector import (
    MAX_ID,
    MAX_ITEMS,
    OMITTED,
    Collector,
    Text,
    is_json,
    json_text,
    provider_error,
    verdict_of,
)
from aibridged.wire.facts import ProviderError, Thought


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Collector:
    """A collector with room for 1000 characters."""
    monkeypatch.setattr(gathering_module, "MAX_KEPT", 1000)
    return Collector()


def test_a_text_is_cut_where_the_room_ends(collector: Collector) -> None:
    first, second = Text(collector, "a" * 990), Text(collector)
    second.add("b" * 8)
    second.add("c" * 8)
    second.add("d" * 8)
    assert (second.value, second.cut) == ("b" * 8 + "c" * 2, True)
    first.add("e")
    assert (first.value, first.cut) == ("a" * 990, True)
    assert collector.anomalies == {"text_cut": 2}


def test_a_replaced_text_gives_its_room_back(collector: Collector) -> None:
    text = Text(collector, "a" * 2000)
    assert text.cut
    text.replace("b" * 1000)
    assert (text.value, text.cut) == ("b" * 1000, False)


def test_items_take_room_too(collector: Collector) -> None:
    assert collector.keeps("x" * 100, None, "y" * 100)
    assert not collector.keeps("z" * 500)
    assert collector.fits()
    collector.add_thought("t" * 300, "thinking")
    collector.add_thought("u", "thinking")
    assert collector.thoughts == [Thought("t" * 200, "thinking", complete=False)]
    assert collector.anomalies == {"item_dropped": 2, "text_cut": 1}


def test_no_more_items_are_kept_than_a_record_has_room_for() -> None:
    collector = Collector()
    for _ in range(MAX_ITEMS + 3):
        collector.add_thought("t", "thinking")
    assert len(collector.thoughts) == MAX_ITEMS
    assert collector.anomalies == {OMITTED: 3}
    collector.give_back(2)
    assert collector.fits()
    assert collector.keeps()
    assert not collector.fits()
    assert collector.anomalies == {OMITTED: 3}


def test_a_name_is_no_place_to_keep_things() -> None:
    collector = Collector()
    collector.response_id = collector.model = "x" * 1_000_000
    facts = collector.result(None, complete=True)
    assert facts.response_id == facts.model == "x" * MAX_ID


def test_json() -> None:
    assert is_json("{}")
    assert is_json(b"7")
    assert not is_json("")
    assert not is_json('{"a":')
    assert not is_json("{} {}")
    assert not is_json("[" * 100_000)


def test_raw_json_as_text() -> None:
    assert json_text(msgspec.Raw(b'{"a":1}')) == '{"a":1}'
    assert json_text(msgspec.Raw(b'"\xff"')) == '"\N{REPLACEMENT CHARACTER}"'
    assert json_text(msgspec.Raw(b"null")) == ""
    assert json_text(ABSENT) == ""


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        ({"type": "overloaded_error", "message": "m"}, ("overloaded_error", None, "m"), None),
        ({"type": "rate_limit_error"}, ("rate_limit_error", None, None), None),
        (
            {"type": "tokens", "code": "rate_limit_exceeded"},
            ("tokens", "rate_limit_exceeded", None),
            "rate_limit_error",
        ),
        (
            {"type": "service_unavailable_error", "code": "server_is_overloaded"},
            ("service_unavailable_error", "server_is_overloaded", None),
            "overloaded_error",
        ),
        (
            {"type": "service_unavailable_error", "code": "rate_limit_exceeded"},
            ("service_unavailable_error", "rate_limit_exceeded", None),
            "rate_limit_error",
        ),
        ({"code": "slow_down"}, (None, "slow_down", None), "overloaded_error"),
        (
            {"type": "insufficient_quota", "code": "insufficient_quota"},
            ("insufficient_quota", "insufficient_quota", None),
            None,
        ),
        ({"code": "server_error"}, (None, "server_error", None), "server_error"),
        ({"code": 429, "message": ["m"]}, (None, "429", None), "rate_limit_error"),
        (
            {"code": "503", "type": "server_error"},
            ("server_error", "503", None),
            "overloaded_error",
        ),
        ("m", (None, None, "m"), "error"),
        (None, (None, None, None), "error"),
    ],
)
def test_errors(value: object, error: tuple[str | None, ...], verdict: str | None) -> None:
    assert provider_error(value) == ProviderError(*error)
    assert verdict_of(ProviderError(*error)) == (verdict or error[0])


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (("TooManyRequests", "too_many_requests", "TOO MANY REQUESTS"), "rate_limit_error"),
        (("RateLimitError", "rate-limited", "RESOURCE_EXHAUSTED"), "rate_limit_error"),
        (("ServiceUnavailableError", "service_unavailable", "UNAVAILABLE"), "overloaded_error"),
        (("engine_overloaded_error", "OverloadedError", "529"), "overloaded_error"),
        (("server_error", "insufficient_quota", "500", "unavailable_model", "error", "_"), None),
    ],
)
def test_the_same_word_has_several_spellings(words: tuple[str, ...], verdict: str | None) -> None:
    for word in words:
        for error in (ProviderError(word, None, None), ProviderError(None, word, None)):
            assert verdict_of(error) == (verdict or word)
