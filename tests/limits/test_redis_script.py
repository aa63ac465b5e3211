"""Answers of Redis are checked before anything believes them."""

import msgspec
import pytest

from aibridged.limits.redis_script import BadAnswerError, decode


@pytest.mark.parametrize(
    "answer",
    [
        None,
        3,
        "text",
        b"",
        b"\xc1",
        msgspec.msgpack.encode([1, [0]]),  # one answer too few
        msgspec.msgpack.encode([1, [0, 0, 0]]),
        msgspec.msgpack.encode([0, [0, 0]]),  # a batch that came late
        msgspec.msgpack.encode([1, [0, "x"]]),
        msgspec.msgpack.encode([1, [0, [["a"]]]]),
        msgspec.msgpack.encode({"a": 1}),
    ],
)
def test_an_answer_that_is_none(answer):
    with pytest.raises(BadAnswerError):
        decode(answer, 2)


def test_an_answer():
    assert decode(msgspec.msgpack.encode([1, [4, [["a", 1]]]]), 2) == (False, [4, [("a", 1)]])
    assert decode(msgspec.msgpack.encode([2, []]), 0) == (True, [])
