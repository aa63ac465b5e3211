"""Scripts: what a model's name asks for, what JSON may say, the queue."""

import msgspec
import pytest

from aibridged.fake_provider.answer import Answer, ToolCall
from aibridged.fake_provider.script import Script, ScriptQueue, for_model, from_json


@pytest.mark.parametrize(
    ("model", "script"),
    [
        ("fake-status-529", Script(status=529)),
        ("fake-error-overloaded", Script(error="overloaded_error")),
        ("fake-error-rate-limit", Script(error="rate_limit_error")),
        ("fake-status-99", None),
        ("gpt-fake-status-529", None),
        ("claude-x", None),
    ],
)
def test_models_that_ask_for_trouble(model, script):
    assert for_model(model) == script


def test_scripts_as_json():
    assert from_json(b'{"status": 529, "times": 5}') == [Script(status=529, times=5)]
    assert from_json(
        b'[{"body": "aGk=", "headers": [["a", "b"]]}, {"stream": ["aGk="], "chunks": [1, 2]},'
        b' {"answer": {"text": "hi", "calls": [{"name": "t"}]}}]'
    ) == [
        Script(body=b"hi", headers=(("a", "b"),)),
        Script(stream=(b"hi",), chunks=(1, 2)),
        Script(answer=Answer(text="hi", calls=(ToolCall("t"),))),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"7",
        b'{"stauts": 500}',
        b'{"status": 42}',
        b'{"times": 0}',
        b'{"cut_after": -1}',
        b'{"chunks": [0]}',
        b'{"before_headers": {}}',
        b'{"before_write": {"0": true}}',
    ],
)
def test_what_is_no_script(body):
    with pytest.raises(msgspec.DecodeError):
        from_json(body)


def test_the_queue_plays_each_as_often_as_it_says():
    queue = ScriptQueue()
    queue.add(Script(status=500, times=2), Script(status=429))
    played = [queue.next() for _ in range(4)]
    assert [script and script.status for script in played] == [500, 500, 429, None]
    queue.add(Script(times=2))
    queue.next()
    queue.clear()
    assert queue.next() is None
    queue.add(Script(times=2))
    assert [queue.next() is None for _ in range(3)] == [False, False, True]
