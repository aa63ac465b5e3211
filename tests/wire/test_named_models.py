"""Which models a request names beside its own."""

import json
from time import perf_counter

import pytest

from aibridged.wire.large_request import outline_request
from aibridged.wire.named_models import (
    MAX_CHECKED,
    MAX_DECODED,
    UnseenModelError,
    other_models,
)

ASKED = {"model": "small", "messages": [{"role": "user", "content": 'Which "model": "x"?'}]}
SCHEMA = {"type": "object", "properties": {"model": {"type": "string"}, "fallback": {"enum": [1]}}}


def bodies(request):
    """The request as programs write it, and with blanks."""
    yield json.dumps(request, separators=(",", ":")).encode()
    yield json.dumps(request, indent=1).encode()


def members_of(body):
    steps = outline_request(body)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value[1]


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ({}, []),
        ({"stream": True, "max_tokens": 5, "thinking": {"type": "enabled"}}, []),
        (
            {"fallbacks": [{"model": "large"}, {"model": "huge", "speed": "fast"}]},
            ["large", "huge"],
        ),
        ({"fallbacks": ["large"]}, ["large"]),
        ({"fallbacks": [{"small": ["large"]}]}, ["large"]),
        ({"fallback_models": ["large"]}, ["large"]),
        ({"extra": {"fallbackModel": "large"}}, ["large"]),
        ({"models": ["small", "large"]}, ["small", "large"]),
        ({"embedding_model": "large"}, ["large"]),
        ({"Model": "large"}, ["large"]),
        ({"MODEL": "large"}, ["large"]),
        ({"modelId": "large", "model_name": "huge"}, ["large", "huge"]),
        ({"tools": [{"type": "advisor_20260301", "name": "a", "model": "large"}]}, ["large"]),
        ({"tools": [{"type": "image_generation", "model": "large"}]}, ["large"]),
        ({"context_management": {"edits": [{"type": "c", "model": "large"}]}}, ["large"]),
        ({"plugins": [{"id": "x", "model": {"name": "large"}}]}, ["large"]),
        ({"tools": [{"name": "a", "input_schema": SCHEMA}]}, []),
        ({"tools": [{"type": "function", "function": {"parameters": SCHEMA}}]}, []),
        ({"tools": [{"name": "a", "description": 'Takes "model": "x", or a fallback.'}]}, []),
        ({"messages": [{"content": [{"type": "tool_use", "input": {"model": "x"}}]}]}, []),
        ({"input": [{"model": "x"}], "metadata": {"model": "x"}, "system": "model"}, []),
        ({"models": None, "fallbacks": None, "prompt": None, "preset": None}, []),
        ({"prompt": "the model", "max_fallbacks": 2, "disable_fallbacks": True}, []),
        ({"response_format": {"json_schema": {"schema": SCHEMA, "model": "x"}}}, []),
    ],
)
def test_names(extra, names):
    for body in bodies({**ASKED, **extra}):
        assert sorted(other_models(body)) == sorted(names)
        assert sorted(other_models(body, members_of(body))) == sorted(names)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (rb'{"model":"small","tools":[{"mod\u0065l":"large"}]}', ["large"]),
        (rb'{"model":"small","mod\u0065ls":["large"]}', ["large"]),
        (rb'{"model":"small","tools":[{"model":"small","model":"large"}]}', ["small", "large"]),
        (rb'{"model":"small","x":{"model" : "large"}}', ["large"]),
    ],
)
def test_however_it_is_written(body, names):
    assert list(other_models(body)) == names


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"small","model":"large"}',
        b'{"model":"large","model":"small"}',
        rb'{"model":"small","mod\u0065l":"large"}',
        # What it takes is what a program's blanks would take.
        b'{"model":"ab","stream":1,"model":"large","n":1,"seed":1,"top_p":1,"top_k":1,"store":1}',
        b'{"model":"s","prompt":{"id":"pmpt_1"}}',
        b'{"model":"s","Prompt":{"id":"pmpt_1"}}',
        b'{"model":"s","preset":"mine"}',
        b'{"model":"s","tools":' + b"[" * 100 + b'{"model":"large"}' + b"]" * 100 + b"}",
        b'{"model":"s","models":[' + b"1," * 20_000 + b"1]}",
        b'{"model":"s","models":["' + b"x" * MAX_DECODED + b'"]}',
        b'{"model":"s","x":"' + b"x" * MAX_CHECKED + b'"}',
    ],
)
def test_what_can_not_be_told_is_an_error(body):
    with pytest.raises(UnseenModelError):
        list(other_models(body))


def test_no_request_takes_long():
    """A second is a hundred times of what it takes."""
    text = 'the model, "model": "fallback" ' * 30_000
    tools = [
        {"name": f"t{n}", "description": "A fallback for the model. " * 50, "input_schema": SCHEMA}
        for n in range(100)
    ]
    began = perf_counter()
    for body in bodies({"model": "m", "messages": [{"content": text}], "tools": tools}):
        assert list(other_models(body)) == []
    assert perf_counter() - began < 1
