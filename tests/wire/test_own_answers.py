"""Answers of the gateway's own, as the readers of providers' answers see them."""

import json

import pytest

from aibridged.wire.facts import WireApi
from aibridged.wire.own_answers import Said, own_answer
from aibridged.wire.response import open_reader

APIS = (
    WireApi.MESSAGES,
    WireApi.CHAT_COMPLETIONS,
    WireApi.COMPLETIONS,
    WireApi.RESPONSES,
)
SAID = Said('It has "ended".\nReally.', "m-1", "0af1", 1_767_225_600)


def read(api, answer):
    reader = open_reader(api, answer.content_type.partition(";")[0], None)
    for _ in reader.feed(answer.body) or ():
        pass
    return reader.finish(True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_each_is_a_whole_answer_that_used_nothing(api, stream):
    answer = own_answer(api, SAID._replace(includes_usage=True), stream=stream)
    facts = read(api, answer)
    assert facts.complete
    assert facts.error is None
    assert not facts.tool_calls
    assert not facts.anomalies
    assert facts.response_id.endswith("0af1")
    assert facts.model == "m-1"
    assert (facts.usage.input, facts.usage.output) == (0, 0)
    assert json.dumps(SAID.text).encode() in answer.body


def test_a_stream_of_chat_completions_has_no_usage_unless_asked():
    answer = own_answer(WireApi.CHAT_COMPLETIONS, SAID, stream=True)
    assert b"usage" not in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("api", [None, *(api for api in WireApi if api not in APIS)])
def test_where_there_is_no_text_there_is_no_answer(api):
    assert own_answer(api, SAID, stream=False) is None


@pytest.mark.parametrize("api", APIS)
def test_half_a_character_in_the_models_name_is_no_obstacle(api):
    said = SAID._replace(model="m\ud800")
    assert json.loads(own_answer(api, said, stream=False).body)["model"] == "m?"
