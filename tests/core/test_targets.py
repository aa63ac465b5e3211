import pytest

from aibridged.core.targets import (
    BadTargetError,
    folded_path,
    plain_target,
    shown_path,
    split_target,
)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/anthropic/v1/messages", "/anthropic/v1/messages", ""),
        ("/anthropic/v1/messages?beta=true", "/anthropic/v1/messages", "beta=true"),
        ("/a/b?x=%2F..&y=?z", "/a/b", "x=%2F..&y=?z"),
        ("/api/v2/aibridge/openai/v1/models", "/openai/v1/models", ""),
        ("/api/v2/ai-gateway/openai/v1/models", "/openai/v1/models", ""),
        ("/api/v2/aibridge/", "/", ""),
        ("/api/v2/aibridgeX/openai", "/api/v2/aibridgeX/openai", ""),
        ("/anthropic", "/anthropic", ""),
        ("/anthropic/", "/anthropic/", ""),
        ("/", "/", ""),
        ("/openai/v1/models/ft:gpt-4o:org%3Aname", "/openai/v1/models/ft:gpt-4o:org%3Aname", ""),
        ("/openai/v1/models/gpt-4.1", "/openai/v1/models/gpt-4.1", ""),
        ("/openai/v1/models/.hidden", "/openai/v1/models/.hidden", ""),
        ("/openai/v1/models/gpt%2D4%2e1", "/openai/v1/models/gpt%2D4%2e1", ""),
        ("/openai/v1/models/a@b:c", "/openai/v1/models/a@b:c", ""),
        ("/openai/v1/models/a..b", "/openai/v1/models/a..b", ""),
        ("/openai/v1/models/my%20model", "/openai/v1/models/my%20model", ""),
        ("/openai/v1/models/%e4%b8%ad", "/openai/v1/models/%e4%b8%ad", ""),
        ("/openai/v1/models/caf%C3%A9", "/openai/v1/models/caf%C3%A9", ""),
        ("/openai/v1/models?a;b=..%2F%00%c0%ae", "/openai/v1/models", "a;b=..%2F%00%c0%ae"),
    ],
)
def test_plain_targets(target, path, query):
    assert split_target(target) == (path, query)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "*",
        "anthropic",
        "http://evil.example/anthropic/v1/messages",
        "//evil.example/v1/messages",
        "/anthropic//v1/messages",
        "/anthropic/../openai/v1/models",
        "/anthropic/./v1/messages",
        "/anthropic/v1/models/..",
        "/anthropic/%2e%2e/admin",
        "/anthropic/%2E./admin",
        "/anthropic/..;/admin",
        "/anthropic/%2e%2e;x/admin",
        "/anthropic/%252e%252e/admin",
        "/anthropic/v1%2Fmessages",
        "/anthropic/v1%5cmessages",
        "/anthropic/v1\\messages",
        "/anthropic/v1/messages%00",
        "/anthropic/v1/messages%0d%0aX: y",
        "/anthropic/v1/messages#frag",
        "/anthropic/v1/messages?a#b",
        "/anthropic/v1/mess ages",
        "/anthropic/v1/messages%",
        "/anthropic/v1/messages%zz",
        "/anthropic/v1/méssages",
        "/anthropic/v1/messages?q=é",
        f"/anthropic/v1/models?key=aib_0123456789_{'a' * 43}",
        f"/anthropic/v1/models/aib%5F0123456789_{'a' * 43}",
        f"/api/v2/aibridge/interceptions?q=aib_0123456789_{'a' * 43}",
    ],
)
def test_ambiguous_targets_are_refused(target):
    with pytest.raises(BadTargetError):
        split_target(target)


DOTS = [
    ".", "..", "...", "%2e", "%2e.", ".%2E", "%2e%2e%2e", "..%20", "%20..", "..%09", "..%2e",
    "..+%20", "..%C2%A0", "..%E3%80%80", "..%E2%80%8B", "..%EF%BB%BF", "%E2%80%A5", "%E2%80%A6",
    "%EF%BC%8E%EF%BC%8E", ".%EF%BC%8E", "%E2%80%A4%E2%80%A4", "..;", "..;x", "%2e%2e;x=y", "..%3b",
    "..%EF%BC%9B", "..%00", "..%0a", "..%23", "..%3f",
]  # fmt: skip
OVERLONG = [
    "%c0%ae%c0%ae", "%C0%AE.", "%e0%80%ae%e0%80%ae", "%f0%80%80%ae", "%f8%80%80%80%ae", "%c0%af",
    "%c1%9c", "%c0%2e", "..%c0%af..",
]  # fmt: skip
OTHER_CODINGS = ["%ff", "%e9", "%ed%a0%80", "%f4%90%80%80", "%80", "%u002e", "%25", "%252e", "a%2"]
SEPARATORS = [
    "a%2fb", "a%2Fb", "a%5cb", "a%EF%BC%8Fb", "a%EF%BC%BCb", "a%E2%88%95b", "a%E2%81%84b",
    "a%E2%84%80b",
]  # fmt: skip
CUT_OFF = [
    "a;", "a;x", "a;x=y", ";", "a%3b", "a%3Bx", "a%23", "a%23x", "%23", "a%3f", "a%3Fx", "a%20",
    "%20a", "%20", "a%09", "a.", "a%2e", "a%C2%A0", "a%E2%80%8B", "a%00", "a%0d%0ab", "a%7f",
    "a%C2%85", "a%E2%80%A8", "a%EF%BC%83", "a%EF%BC%9F", "a%EF%BC%85%32e",
]  # fmt: skip


@pytest.mark.parametrize("segment", [*DOTS, *OVERLONG, *OTHER_CODINGS, *SEPARATORS, *CUT_OFF])
@pytest.mark.parametrize(
    "path", ["/openai/v1/models/{}", "/openai/v1/models/{}/x", "/{}/v1/models"]
)
def test_segments_that_servers_read_differently_are_refused(path, segment):
    with pytest.raises(BadTargetError):
        split_target(path.format(segment))


@pytest.mark.parametrize("path", ["/api/v2/aibridge/anthropic/v1/messages", "/v1/messages"])
def test_a_plain_target_keeps_what_looks_like_a_prefix(path):
    assert plain_target(f"{path}?a=%2F") == (path, "a=%2F")
    with pytest.raises(BadTargetError):
        plain_target(f"{path}/%2e%2e/x")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages",
        "/v1/messages/",
        "/V1/Messages",
        "/v1/%6Dessages",
        "/v1/%EF%BD%8Dessages/",
        "/v1/me%C5%BFsages",
    ],
)
def test_a_lenient_server_may_take_these_for_one(path):
    assert folded_path(path) == "/v1/messages"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("/anthropic//v1/messages", "take the slash off the end of the base URL"),
        ("//v1/messages", "take the slash off the end of the base URL"),
        ("http://api.openai.com/v1/models", "not as HTTP_PROXY"),
        ("api.anthropic.com:443", "not as HTTP_PROXY"),
        ("/anthropic%20/v1/messages", "a blank or a quote beside a slash"),
        ("/anthropic/%20v1/messages", "a blank or a quote beside a slash"),
        ("/anthropic/../openai", "ambiguous"),
        ("*", "not a plain path"),
    ],
)
def test_the_sentence_says_what_to_mend(target, sentence):
    with pytest.raises(BadTargetError, match=sentence):
        split_target(target)


UUID = "6f1b1e0e-5a3b-4d2c-9f1a-2b3c4d5e6f70"


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/", "/"),
        ("/v1/messages", "/v1/messages"),
        ("/anthropic/v1/mesages", "/anthropic/v1/mesages"),
        ("/anthropic/", "/anthropic/"),
        ("/openai/v1/models/gpt-4o-2024-08-06", "/openai/v1/models/gpt-4o-2024-08-06"),
        ("/x/claude-3-5-sonnet-20241022", "/x/claude-3-5-sonnet-20241022"),
        ("/openai/v1/fine_tuning/jobs", "/openai/v1/fine_tuning/jobs"),
        ("/a/sk-secret/messages?key=secret", "/a/*/messages"),
        ("/a/sk_live_x/ghp_x/AIzaSy/eyJhbGci/Bearer", "/a/*/*/*/*/*"),
        ("/a/file-Ab12Cd34Ef56Gh78", "/a/*"),
        (f"/a/{UUID}", "/a/*"),
        ("/a/abcdefghij-" + "kL3" * 8, "/a/*"),
        ("/a/" + "b" * 25, "/a/*"),
        ("/a/two%20words/ann@example.com/a;b/%1b[2J", "/a/*/*/*/*"),
        ("/?secret", "/"),
        ("http://user:secret@host/v1", "*"),
        ("*", "*"),
        ("", "*"),
        ("/v1" * 10, "/v1" * 8 + "/*"),
        ("/*", "/*"),
        ("/" * 5000, "/" * 8 + "/*"),
        ("/" + "a-" * 1_000_000, "/*"),
    ],
)
def test_a_path_is_shown_without_what_may_be_a_secret(target, shown):
    assert shown_path(target) == shown


def test_no_credential_of_the_request_is_shown():
    shown = shown_path("/swordfish/xswordfishx/abc/abcd", ("swordfish", "abc"))
    assert shown == "/*/*/*/abcd"
