"""Answers of Redis are checked before anything believes them."""

import msgspec
import pytest

from aibridged.limits.redis_script import (
    MAX_CIRCUITS,
    Ask,
    BadAnswerError,
    Code,
    OpenCircuits,
    Success,
    decode,
)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        3,
        "text",
        b"",
        b"\xc1",
        msgspec.msgpack.encode([1, [0], 1]),  # one answer too few
        msgspec.msgpack.encode([1, [0, 0, 0], 1]),
        msgspec.msgpack.encode([0, [0, 0], 1]),  # a batch that came late
        msgspec.msgpack.encode([1, [0, "x"], 1]),
        msgspec.msgpack.encode([1, [0, [["a"]]], 1]),
        msgspec.msgpack.encode([1, [0, 0], "x"]),
        msgspec.msgpack.encode([1, [0, 0]]),
        msgspec.msgpack.encode({"a": 1}),
    ],
)
def test_an_answer_that_is_none(answer):
    with pytest.raises(BadAnswerError):
        decode(answer, [Ask(), Ask()])


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (Ask(), max(Code) + 1),
        (Ask(), -1),
        (Ask(), [["a", 1]]),
        (Success("k"), 2),
        (Success("k"), []),
        (OpenCircuits(), 0),
        (OpenCircuits(), [["a", 1]] * (MAX_CIRCUITS + 1)),
    ],
)
def test_an_answer_to_something_else(operation, answer):
    with pytest.raises(BadAnswerError, match="asked"):
        decode(msgspec.msgpack.encode([1, [answer], 1]), [operation])


def test_an_answer():
    operations = [*(Ask() for _ in Code), Success("k"), OpenCircuits()]
    answers = [*map(int, Code), 1, [["a", 1]]]
    found = decode(msgspec.msgpack.encode([1, answers, 7]), operations)
    assert found == (False, [*Code, 1, [("a", 1)]], 7)
    assert decode(msgspec.msgpack.encode([2, [], 1]), []) == (True, [], 1)
