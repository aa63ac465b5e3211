"""Opens the dialogue that fits an API."""

from collections.abc import Collection, Mapping

from aibridged.wire.facts import Api
from aibridged.wire.injection.chat_completions import ChatCompletionsDialogue
from aibridged.wire.injection.dialogue import Dialogue
from aibridged.wire.injection.messages import MessagesDialogue
from aibridged.wire.injection.responses import ResponsesDialogue
from aibridged.wire.injection.splice import Fields

_DIALOGUES: Mapping[
    Api, type[MessagesDialogue] | type[ChatCompletionsDialogue] | type[ResponsesDialogue]
] = {
    Api.MESSAGES: MessagesDialogue,
    Api.CHAT_COMPLETIONS: ChatCompletionsDialogue,
    Api.RESPONSES: ResponsesDialogue,
}


def open_dialogue(
    api: Api, request: Fields, names: Collection[str], *, withhold_usage: bool = False
) -> Dialogue:
    """The dialogue about a request into which tools of these names have been put.

    `withhold_usage`: the usage of a Chat Completions stream isn't for the client (see
    `stream_usage`).
    """
    return _DIALOGUES[api](request, names, withhold_usage=withhold_usage)
