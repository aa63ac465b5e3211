import pytest

from aibridged.core.targets import BadTargetError, folded_path, plain_target, split_target


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
        "/v1/messages;version=2",
        "/v1;x/%6dessages/",
    ],
)
def test_a_lenient_server_may_take_these_for_one(path):
    assert folded_path(path) == "/v1/messages"
