"""Facts are values: equal by content, and nobody changes them."""

import pytest

from aibridged.wire.facts import RequestFacts, ResponseFacts, WireApi


def test_facts_do_not_change() -> None:
    for facts in (RequestFacts("m"), ResponseFacts()):
        with pytest.raises(AttributeError, match="immutable"):
            facts.model = "other"  # type: ignore[misc]


def test_apis_are_named_as_they_are_recorded() -> None:
    assert [str(api) for api in WireApi] == ["messages", "chat_completions", "responses"]
