"""The fields of a request's line, which people are shown as programs are told them."""

from hypothesis import given
from hypothesis import strategies as st

from aibridged.observe.access_fields import AccessFields
from aibridged.observe.log_lines import word
from aibridged.observe.request_summary import RequestOutcome, RequestSummary, TokenCounts

IN_THE_MESSAGE = {"method", "path", "status", "user_agent"}

texts = st.none() | st.sampled_from(["", "two words", "a=b"]) | st.text(max_size=80)
moments = st.none() | st.floats(0, 1e6)
counts = st.integers(0, 10**9)
tokens = st.builds(TokenCounts, counts, counts, counts | st.just(0), counts | st.just(0))
requests = st.builds(
    RequestSummary,
    request_id=st.just("r"),
    outcome=st.sampled_from(RequestOutcome),
    method=st.just("POST"),
    path=st.text(max_size=20),
    began=st.floats(0, 1e6),
    ended=st.floats(0, 1e6),
    status=st.sampled_from([None, 200, 503]),
    user_agent=texts,
    client=st.sampled_from(["Unknown", "Claude Code"]) | st.text(max_size=80),
    streamed=st.booleans(),
    answered_at=moments,
    first_byte_at=moments,
    tokens=st.none() | tokens,
    additional_tokens=st.lists(tokens, max_size=2).map(tuple),
    cost=st.sampled_from([None, "0", "0.0875"]),
    cost_label=st.sampled_from([None, "exact", "estimated", "unpriced"]),
    **dict.fromkeys(
        (
            "reason",
            "remote",
            "username",
            "api_key_id",
            "claimed_api_key_id",
            "provider",
            "upstream_url",
            "model",
            "provider_error",
            "error_type",
            "error_source",
            "unread",
            "ended_by",
        ),
        texts,
    ),
)


@given(requests, st.booleans())
def test_words_and_fields_say_the_same(request, is_well):
    fields = AccessFields(request, is_well)
    told = [(name, value) for name, value in fields.told().items() if name not in IN_THE_MESSAGE]
    assert None not in fields.told().values()
    assert fields.words() == "".join(word(name, value) for name, value in told)


SUMMARY = RequestSummary(
    request_id="r",
    outcome=RequestOutcome.COMPLETED,
    method="POST",
    path="/anthropic/v1/messages",
    began=1.0,
    ended=1.5,
    status=200,
    remote="192.0.2.1",
    provider="anthropic",
    user_agent="curl/8",
)


def test_what_is_not_known_is_left_out():
    assert AccessFields(SUMMARY, is_well=True).words() == (
        "  outcome=completed  remote=192.0.2.1  provider=anthropic  total_ms=500"
    )


def test_programs_are_told_in_this_order():
    assert list(AccessFields(SUMMARY, is_well=True).told().items()) == [
        ("method", "POST"),
        ("path", "/anthropic/v1/messages"),
        ("status", 200),
        ("user_agent", "curl/8"),
        ("outcome", "completed"),
        ("remote", "192.0.2.1"),
        ("provider", "anthropic"),
        ("total_ms", 500),
    ]


def test_google_is_told_of_the_request():
    assert AccessFields(SUMMARY, is_well=True).shape() == {
        "requestMethod": "POST",
        "requestUrl": "/anthropic/v1/messages",
        "status": 200,
        "userAgent": "curl/8",
        "remoteIp": "192.0.2.1",
        "latency": "0.500000s",
    }
