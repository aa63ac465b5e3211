import pytest

from aibridged.wire.facts import Api
from aibridged.wire.injection.chat_completions import ChatCompletionsDialogue
from aibridged.wire.injection.messages import MessagesDialogue
from aibridged.wire.injection.opening import open_dialogue
from aibridged.wire.injection.responses import ResponsesDialogue
from aibridged.wire.injection.splice import Fields


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        (Api.MESSAGES, MessagesDialogue),
        (Api.CHAT_COMPLETIONS, ChatCompletionsDialogue),
        (Api.RESPONSES, ResponsesDialogue),
    ],
)
def test_each_api_has_its_dialogue(api, kind):
    body = b'{"model":"m","messages":[],"input":[]}'
    assert type(open_dialogue(api, Fields(body), {"a"})) is kind
