"""One line for each record, with the fields that a SIEM is told to expect."""

import json

import pytest
from loguru import logger

from aibridged.observe.logging import configure
from aibridged.records.facts import (
    InterceptionEnd,
    ModelThoughtRecord,
    Outcome,
    ToolUsageRecord,
)
from aibridged.records.structured_log import log_record


@pytest.fixture
def logged(tmp_path):
    """Logs records to a file; returns what its lines say."""
    path = tmp_path / "log"
    configure("", str(path), "", [], verbose=False)

    def log(*records):
        for record in records:
            log_record(record)
        return [json.loads(line) for line in path.read_text().splitlines()]

    yield log
    logger.remove()


def test_every_kind_of_record_is_one_line_of_its_type(logged, new_start, new_facts, clock):
    start = new_start()
    thought = ModelThoughtRecord(
        id="t", interception_id=start.id, created_at=clock.wall(), content="hm"
    )
    lines = logged(start, *new_facts(start.id), thought)
    assert [line["fields"]["record_type"] for line in lines] == [
        "interception_start",
        "prompt_usage",
        "token_usage",
        "tool_usage",
        "interception_end",
        "model_thought",
    ]
    assert {line["msg"] for line in lines} == {"interception log"}
    assert {line["level"] for line in lines} == {"INFO"}
    assert {line["fields"]["interception_id"] for line in lines} == {start.id}


def test_what_coder_never_leaves_null_is_empty(logged, new_start):
    (line,) = logged(new_start(user_agent=None, client_session_id=None))
    fields = line["fields"]
    assert (fields["client_session_id"], fields["correlating_tool_call_id"]) == ("", "")
    assert "request_user_agent" not in fields["metadata"]


def test_a_start_has_coders_names(logged, new_start):
    start = new_start(
        user_agent="curl/8", tool_result_ids=("call_1", "call_2"), metadata={"purpose": "title"}
    )
    (line,) = logged(start)
    fields = line["fields"]
    assert fields["metadata"] == {"purpose": "title", "request_user_agent": "curl/8"}
    assert fields["correlating_tool_call_id"] == "call_2"
    assert not {"user_agent", "tool_result_ids", "id"} & set(fields)
    assert start.metadata == {"purpose": "title"}


def test_an_item_of_a_response_has_coders_name(logged, clock):
    own = {"id": "t", "interception_id": "i", "created_at": clock.wall()}
    (line,) = logged(ToolUsageRecord(tool="ls", input="{}", provider_item_id="fc_1", **own))
    assert line["fields"]["item_id"] == "fc_1"


def test_a_start_says_who_and_what(logged, new_start):
    (line,) = logged(new_start(api_key_id="key", client="Codex", client_session_id="s"))
    fields = line["fields"]
    assert fields["initiator_id"] == "00000000-0000-4000-8000-000000000001"
    assert (fields["api_key_id"], fields["client"], fields["client_session_id"]) == (
        "key",
        "Codex",
        "s",
    )
    assert fields["started_at"] == "2026-01-01T00:00:00+00:00"
    assert "id" not in fields


def test_a_tool_call_has_the_documented_names(logged, clock):
    (line,) = logged(
        ToolUsageRecord(
            id="t",
            interception_id="i",
            created_at=clock.wall(),
            tool="ls",
            input='{"path": "/"}',
            provider_response_id="msg",
            provider_tool_call_id="call",
            metadata={"partial": True},
        )
    )
    assert line["fields"] == {
        "record_type": "tool_usage",
        "interception_id": "i",
        "created_at": "2026-01-01T00:00:00+00:00",
        "msg_id": "msg",
        "tool_call_id": "call",
        "item_id": "",
        "tool": "ls",
        "input": '{"path": "/"}',
        "server_url": "",
        "injected": False,
        "invocation_error": "",
        "metadata": {"partial": True},
    }


def test_an_end_names_the_answer_to_the_prompt(logged, clock):
    end = InterceptionEnd(
        interception_id="i",
        ended_at=clock.wall(),
        outcome=Outcome.COMPLETED,
        prompt_response_id="msg",
    )
    (line,) = logged(end)
    assert line["fields"]["prompt_msg_id"] == "msg"


def test_a_prompt_of_many_lines_is_one_line(logged, new_facts):
    prompt = new_facts("i")[0]
    (line,) = logged(
        type(prompt)(
            id="p", interception_id="i", created_at=prompt.created_at, prompt="a\n{b}\n<c>"
        )
    )
    assert line["fields"]["prompt"] == "a\n{b}\n<c>"
