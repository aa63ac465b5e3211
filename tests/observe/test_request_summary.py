"""What is worked out of a finished request."""

import pytest

from aibridged.observe.request_summary import RequestOutcome, RequestSummary, TokenCounts


def finished(**more):
    return RequestSummary(
        request_id="r",
        outcome=RequestOutcome.COMPLETED,
        method="POST",
        path="/anthropic/v1/messages",
        began=10.0,
        ended=13.5,
        **more,
    )


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ({}, None),
        ({"sent_at": 10.5}, None),
        ({"answered_at": 11.0}, 1.0),
        ({"answered_at": 11.0, "first_byte_at": 12.0}, 2.0),
        ({"answered_at": 11.0, "first_byte_at": 10.0}, 0.0),
    ],
)
def test_how_long_the_first_byte_took(times, seconds):
    assert finished(**times).seconds_to_first_byte == seconds


def test_how_long_it_took_altogether():
    assert finished().seconds == 3.5


def test_no_input_token_is_counted_twice():
    assert TokenCounts(input=1, output=2, cache_read=4, cache_write=8).all_input == 13


def test_all_tokens_are_those_of_every_model():
    own = TokenCounts(1, 2, 4, 8, {"output_thinking": 1})
    beside = (TokenCounts(10, 20, 40, 80, {}, "big"), TokenCounts(100, 0, 0, 0))
    assert finished(tokens=own, additional_tokens=beside).all_tokens == TokenCounts(111, 22, 44, 88)
    assert finished(tokens=own).all_tokens is own
    assert finished().all_tokens is None
