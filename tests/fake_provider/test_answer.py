"""What the fake model says, as a pure function."""

import json

import pytest

from aibridged.fake_provider.answer import (
    Answer,
    InvalidRequestError,
    Prompt,
    Tool,
    ToolCall,
    Usage,
    answer,
    halves,
    pieces,
    stretch,
    usage,
)

WEATHER = Tool(
    "get_weather",
    b'{"properties": {"city": {"type": "string"}, "days": {"type": "integer"},'
    b' "unit": {"type": "string", "enum": ["C", "F"]}, "more": {"type": "object"}},'
    b' "required": ["city", "days", "unit"]}',
)
CLOCK = Tool("get_time", b"{}")


def asked(text: str, **fields: object) -> Prompt:
    return Prompt(model="m", text=text, **fields)  # type: ignore[arg-type]


def test_echoes_the_prompt():
    said = answer(asked("What is the time?"))
    assert said == Answer(text="Hello from the fake provider. You said: What is the time?")


def test_a_large_prompt_makes_no_large_answer():
    assert len(answer(asked("x" * 100_000)).text) < 300


def test_thinks_when_told_to():
    assert "What" in answer(asked("Think hard: What now?")).thinking


def test_uses_the_first_tool_with_arguments_that_its_schema_takes():
    (call,) = answer(asked("Please use the tool.", tools=(WEATHER, CLOCK))).calls
    assert call.name == "get_weather"
    assert json.loads(call.arguments) == {"city": "a city", "days": 1, "unit": "C"}


def test_uses_the_tool_that_is_named():
    (call,) = answer(asked("Use the tool get_time", tools=(WEATHER, CLOCK))).calls
    assert call == ToolCall("get_time", "{}")


@pytest.mark.parametrize(
    ("tools", "parallel", "names"),
    [
        ((WEATHER, CLOCK), True, ["get_weather", "get_time"]),
        ((CLOCK,), True, ["get_time", "get_time"]),
        ((WEATHER, CLOCK), False, ["get_weather"]),
        ((), True, []),
    ],
)
def test_uses_tools_in_parallel_where_that_is_allowed(tools, parallel, names):
    said = answer(asked("use the tools", tools=tools, parallel=parallel))
    assert [call.name for call in said.calls] == names


def test_a_tool_result_ends_the_loop():
    said = answer(asked("use the tool", tools=(CLOCK,), from_tool=True))
    assert said == Answer(text="The tool answered: use the tool")


def test_a_schema_that_is_none_is_refused():
    with pytest.raises(InvalidRequestError):
        answer(asked("use the tool", tools=(Tool("t", b'{"required": 7}'),)))


def test_usage_counts_words():
    said = Answer(text="one two", thinking="three four five", calls=(ToolCall("t", '{"a": 1}'),))
    assert usage(asked("to be or"), said) == Usage(input=3, output=7, reasoning=3)


def test_usage_tells_of_the_cache_when_told_to():
    spent = usage(asked("from cache"), Answer(text="hi"))
    assert spent == Usage(input=2, output=1, cache_read=1024, cache_write=256, cache_write_1h=64)
    assert spent.all_input == 2 + 1024 + 256 + 64


@pytest.mark.parametrize("text", ["", "a", "a b", " a  b\n", "\n\nlong text, of 5 words  "])
def test_pieces_are_the_text(text):
    assert "".join(pieces(text)) == text
    assert "".join(pieces(text, 2)) == text
    assert len(pieces(text, 2)) <= 2


def test_stretched_text_gives_the_number_of_deltas():
    said = stretch(Answer(text="Hello there."), 300)
    assert len(pieces(said.text, 300)) == 300
    assert said.text.startswith("Hello there.")
    assert stretch(Answer(text="one two three"), 2).text == "one two three"


def test_halves_are_the_text():
    assert halves('{"a": 1}') == ('{"a"', ": 1}")
