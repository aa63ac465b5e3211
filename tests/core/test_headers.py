import pytest

from aibridged.core.headers import (
    NOT_RELAYED,
    OF_THIS_HOP,
    named_by_connection,
    relayed,
    request_header_passes,
)


def relay(*headers):
    return relayed(headers, [name.lower() for name, _ in headers], NOT_RELAYED)


@pytest.mark.parametrize(
    "name",
    [
        "anthropic-beta",
        "anthropic-version",
        "OpenAI-Organization",
        "User-Agent",
        "Content-Type",
        "Content-Encoding",
        "X-Claude-Code-Session-Id",
        "x-stainless-lang",
        "X-Something-New",
        "Accept",
    ],
)
def test_end_to_end_headers_pass(name):
    assert request_header_passes(name.encode())
    assert relay((name.encode(), b"x")) == ((name.encode(), b"x"),)


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Proxy-Connection",
    ],
)
def test_hop_by_hop_headers_pass_in_neither_direction(name):
    assert not request_header_passes(name.encode())
    assert relay((name.encode(), b"x"), (b"A", b"y")) == [(b"A", b"y")]


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, lambda n: n.replace("-", "_")])
@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Api-Key",
        "Cookie",
        "X-Coder-Token",
        "X-Coder-AI-Governance-Token",
        "X-Coder-Session-Token",
        "Coder-Session-Token",
        "X-AI-Bridge-Actor-ID",
        "X-AI-Bridge-Actor-Metadata-Username",
        "X-AI-Bridge-Actor-Metadata-Email",
    ],
)
def test_credentials_and_actor_headers_stay_behind_in_any_spelling(name, spell):
    assert not request_header_passes(spell(name).encode())


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Accept-Encoding", "Expect"])
def test_what_the_gateway_sets_itself_is_not_copied(name):
    assert not request_header_passes(name.encode())


@pytest.mark.parametrize("name", ["traceparent", "TraceState", "Baggage"])
def test_a_callers_trace_goes_no_further(name):
    assert not request_header_passes(name.encode())


def test_a_providers_cookies_stay_with_the_gateway():
    assert relay((b"Set-Cookie", b"x"), (b"A", b"y")) == [(b"A", b"y")]
    assert b"set-cookie" not in OF_THIS_HOP


def test_what_a_providers_connection_names_stays_behind():
    named, other = (b"X-Foo", b"x"), (b"X-Bar", b"y")
    assert relay(named, other) == (named, other)
    assert relay(named, (b"Connection", b"close, x-FOO"), other) == [other]


def test_names_listed_by_connection():
    assert named_by_connection(["keep-alive, X-Foo", "Bar"]) == {"keep-alive", "x-foo", "bar"}
