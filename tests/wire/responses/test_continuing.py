import json

import pytest

from aibridged.wire.responses.continuing import (
    Continuation,
    as_items,
    conversation_of,
    go_on,
    restored,
    stored,
)
from aibridged.wire.splice import Fields

OUTPUTS = (b'{"type":"function_call_output","call_id":"c","output":"x"}',)
KNOWN = {
    "r1": Continuation("r1", "r2"),
    "r3": Continuation("r3", "r3", OUTPUTS),
    "conv": Continuation("conv", outputs=OUTPUTS),
}


def gone_on(body):
    return go_on(Fields(body), KNOWN.get).source


def test_another_response_takes_the_place_of_the_one_that_was_shown():
    body = b'{"model":"m", "previous_response_id" : "r1","input":"hi"}'
    assert gone_on(body) == body.replace(b"r1", b"r2")


@pytest.mark.parametrize(
    "name",
    [b'"previous_response_id":"r3"', b'"conversation":"conv"', b'"conversation":{"id":"conv"}'],
)
def test_what_was_left_unanswered_is_answered_first(name):
    body = b'{"model":"m",%b,"input":[{"role":"user","content":"hi"}]}' % name
    assert json.loads(gone_on(body)) == {
        **json.loads(body),
        "input": [json.loads(OUTPUTS[0]), {"role": "user", "content": "hi"}],
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","input":"hi"}',
        b'{"model":"m","previous_response_id":"other"}',
        b'{"model":"m","previous_response_id":null,"input":[]}',
        b'{"model":"m","previous_response_id":7}',
        b'{"model":"m","conversation":7}',
        b'{"model":"m","input":"the \\"conversation\\""}',
    ],
)
def test_all_else_goes_as_it_came(body):
    assert gone_on(body) is body


@pytest.mark.parametrize("name", KNOWN)
def test_a_continuation_is_the_same_once_it_was_stored(name):
    assert restored(name, stored(KNOWN[name])) == KNOWN[name]


def test_an_input_of_any_kind_becomes_a_list():
    assert as_items(None) == b"[]"
    assert as_items(b"[ ]", OUTPUTS) == b"[%b]" % OUTPUTS
    assert as_items(b"[1, 2]") == b"[1, 2]"
    assert as_items(b"[1, 2]", (b"0",)) == b"[0,1, 2]"
    assert json.loads(as_items(b'"h\\u0069"')) == [{"role": "user", "content": "hi"}]


def test_a_conversation_is_named_or_described():
    assert conversation_of(Fields(b'{"conversation":"c"}')) == "c"
    assert conversation_of(Fields(b'{"conversation":{"id":"c"}}')) == "c"
    assert conversation_of(Fields(b'{"conversation":null}')) is None
