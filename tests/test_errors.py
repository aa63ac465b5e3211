"""What every refusal of the gateway's own says, in its headers and in its sentence."""

import pytest

from aibridged.errors import BUDGET_EXCEEDED, ERRORS, GatewayError


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.code)
def test_clients_are_told_not_to_repeat_what_no_repetition_mends(kind):
    final = kind.status in (400, 401, 403, 404, 413, 415, 431, 501) or kind is BUDGET_EXCEEDED
    assert GatewayError(kind).headers().get("X-Should-Retry") == ("false" if final else None)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.code)
def test_no_sentence_is_one_that_claude_code_replaces(kind):
    """It takes every error that names this header for a missing login at Anthropic."""
    assert "x-api-key" not in kind.sentence.lower()


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.code)
def test_no_cache_keeps_a_refusal(kind):
    assert GatewayError(kind).headers()["Cache-Control"] == "no-store"
