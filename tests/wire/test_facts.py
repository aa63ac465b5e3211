"""Facts are values: equal by content, and nobody changes them."""

import pytest

from aibridged.wire.facts import RequestFacts, ResponseFacts


def test_facts_do_not_change() -> None:
    for facts in (RequestFacts("m"), ResponseFacts()):
        with pytest.raises(AttributeError, match="immutable"):
            facts.model = "other"  # type: ignore[misc]
