"""A request for a path that isn't served is told what is wrong with it, and the mend."""

import pytest

from aibridged.config.options import ProviderSettings
from aibridged.config.providers import COPILOT_PLANS
from aibridged.providers import make_providers
from aibridged.providers.wrong_path import base_urls, wrong_path

PROVIDERS = make_providers(
    [
        ProviderSettings("anthropic", "anthropic", None, "https://a.example"),
        ProviderSettings("openai", "openai", None, "https://o.example/v1"),
        COPILOT_PLANS[0],
    ]
)


def told(method, path, providers=PROVIDERS):
    return wrong_path(providers, method, path)


BASE_URLS = [
    # A provider's name is missing, wrong, or in the wrong place.
    (
        "/v1/v1/messages",
        "Take /v1 out of the base URL, so that requests go to /anthropic/v1/messages.",
    ),
    ("/v1/v1/chat/completions", "so that requests go to /openai/v1/chat/completions."),
    (
        "/antropic/v1/messages",
        "There is no provider 'antropic'; there are anthropic, openai and "
        "copilot. Did you mean /anthropic?",
    ),
    ("/Anthropic/v1/messages", "Did you mean /anthropic?"),
    (
        "/zebra/v1/responses",
        "There is no provider 'zebra'; there are anthropic, openai and copilot.",
    ),
    ("/sk-ant-api03-x/v1/messages", "There is no provider '*'; there are"),
    ("/api.openai.com/v1/chat/completions", "There is no provider 'api.openai.com'; there are"),
    ("/v1/openai/chat/completions", "The name of the provider comes first: take /v1 off"),
    (
        "/v1/anthropic/v1/messages",
        "take /v1 off the beginning of the base URL's path, so that "
        "requests go to /anthropic/v1/messages.",
    ),
    ("/aibridge/anthropic/v1/messages", "take /aibridge off the beginning"),
    ("/api/experimental/aibridge/openai/v1/responses", "take /api/experimental/aibridge off"),
    ("/openai/anthropic/v1/messages", "take /openai off the beginning"),
    ("/anthropic%22/v1/messages", "a blank or a quote beside a slash"),
    # The version is missing, or there twice.
    (
        "/anthropic/v1/v1/messages",
        "Take /v1 out of the base URL, so that requests go to /anthropic/v1/messages.",
    ),
    (
        "/anthropic/messages",
        "Add /v1 to the base URL, so that requests go to /anthropic/v1/messages.",
    ),
    ("/openai/chat/completions", "Add /v1 to the base URL"),
    ("/openai/responses", "Add /v1 to the base URL"),
    ("/openai/v1/v1/chat/completions", "Take /v1 out of the base URL"),
    (
        "/copilot/v1/chat/completions",
        "Take /v1 out of the base URL, so that requests go to /copilot/chat/completions.",
    ),
    # A whole endpoint, or something else, is in the base URL.
    (
        "/anthropic/v1/messages/v1/messages",
        "Take /v1/messages out of the base URL (clients append "
        "it by themselves), so that requests go to /anthropic/v1/messages.",
    ),
    ("/anthropic/v1/messages/messages", "Take /messages out of the base URL (clients append"),
    ("/openai/v1/chat/completions/chat/completions", "Take /chat/completions out of the base URL"),
    (
        "/openai/chat/completions/chat/completions",
        "and add /v1, so that requests go to /openai/v1/chat/completions.",
    ),
    ("/openai/v1/responses/responses", "Take /responses out of the base URL (clients append"),
    ("/openai/v1/completions/completions", "Take /completions out of the base URL"),
    (
        "/anthropic/anthropic/v1/messages",
        "Take /anthropic out of the base URL (the provider is named twice)",
    ),
    ("/openai/v1/openai/v1/responses", "Take /v1/openai out of the base URL"),
    ("/anthropic/v1/messages/", "Take the slash off the end: /anthropic/v1/messages."),
    (
        "/anthropic",
        "This is a base URL: there is nothing but the paths that clients append, such as "
        "POST /anthropic/v1/messages.",
    ),
    ("/openai/v1", "This is a base URL"),
    # Another provider's API.
    (
        "/anthropic/chat/completions",
        "The provider anthropic (type anthropic) does not serve "
        "/chat/completions: openai does. Change the base URL, so that requests go to "
        "/openai/v1/chat/completions.",
    ),
    ("/anthropic/v1/responses", "openai does."),
    (
        "/openai/v1/messages",
        "The provider openai (type openai) does not serve /messages: anthropic does.",
    ),
    ("/openai/messages", "so that requests go to /anthropic/v1/messages."),
    # Nearly.
    ("/openai/v1/chat/completion", "Did you mean POST /openai/v1/chat/completions?"),
    ("/openai/v1/chat", "Did you mean POST /openai/v1/chat/completions?"),
    ("/openai/v1/embedding", "Did you mean POST /openai/v1/embeddings?"),
    (
        "/openai/v1/zebra",
        "/openai/v1/zebra is not served. Of the provider openai (type openai) the "
        "gateway serves /v1/chat/completions, ",
    ),
]


@pytest.mark.parametrize(("path", "sentence"), BASE_URLS)
def test_a_wrong_base_url_is_told_with_its_mend(path, sentence):
    assert sentence in told("POST", path).message


@pytest.mark.parametrize(
    ("path", "mend"),
    [
        ("/openai/v1/responses/models", "Take /responses out of the base URL (clients append it"),
        ("/openai/v1/responses/v1/models", "Take /v1/responses out of the base URL"),
        ("/openai/v1/conversations/models", "Take /conversations out of the base URL"),
        ("/copilot/responses/models", "Take /responses out of the base URL"),
    ],
)
def test_a_path_behind_an_endpoint_is_no_stored_id(path, mend):
    _, name, below = path.split("/", 2)
    assert PROVIDERS[name].route("GET", f"/{below}") is None
    assert mend in told("GET", path).message


@pytest.mark.parametrize("path", ["/session", "/interception/1", "/usage"])
def test_a_wrong_path_of_the_api_is_told_which_there_are(path):
    assert "described at /api/v2/aibridge/openapi.json" in told("GET", path).message


def test_a_stored_id_is_one():
    for id in ("resp_1", "modelsx", "resp_models"):
        route = PROVIDERS["openai"].route("GET", f"/v1/responses/{id}/input_items")
        assert route.about.id == id


COPILOTS = make_providers(COPILOT_PLANS[:2])


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            "/v1/messages",
            "lacks the name of a provider: put it before the path, so that requests go to "
            "/copilot/v1/messages or /copilot-business/v1/messages.",
        ),
        ("/chat/completions", "go to /copilot/chat/completions or /copilot-business/chat/"),
        (
            "/v1/embeddings",
            "/v1/embeddings needs a provider of type openai; there are copilot and copilot-busi",
        ),
        ("/v1/messages/zebra", "There is no provider 'v1'; there are copilot and copilot-business"),
    ],
)
def test_a_path_without_a_name_that_no_provider_is_there_for(path, sentence):
    assert sentence in told("POST", path, COPILOTS).message


def test_a_type_that_is_missing_is_named():
    only = {"openai": PROVIDERS["openai"]}
    for path in ("/v1/messages", "/messages", "/v1/messages/count_tokens"):
        error = told("POST", path, only)
        assert error.kind.status == 400
        assert error.message == f"{path} needs a provider of type anthropic; there are openai."


# At a 404, Claude Code says that the model doesn't exist, and nothing else.
@pytest.mark.parametrize("path", [path for path, _ in BASE_URLS])
def test_claude_code_shows_the_sentence(path):
    is_messages = path.rstrip("/").endswith("/messages") and not path.endswith("/")
    expected = (400, "wrong_base_url") if is_messages else (404, "route_not_supported")
    kind = told("POST", path).kind
    assert (kind.status, kind.code) == expected


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/openai/v1/batches", "Batches are not served: a gateway that records can't see"),
        ("/anthropic/v1/messages/batches", "Batches are not served"),
        ("/v1/batches", "Batches are not served"),
        ("/openai/v1/files", "Files are not served: the organisation's key"),
        ("/anthropic/v1/files", "Files are not served"),
        ("/openai/v1/uploads/upload_1/parts", "Files are not served"),
        ("/openai/v1/images/generations", "Images, video and audio are not served"),
        ("/openai/v1/audio/transcriptions", "Images, video and audio are not served"),
        ("/openai/v1/realtime/sessions", "Realtime sessions are not served"),
        ("/openai/v1/fine_tuning/jobs", "Fine-tuning and evals are not served"),
        ("/openai/v1/threads/t/messages", "Agents and assistants"),
        ("/openai/v1/vector_stores", "Vector stores and containers"),
        ("/openai/v1/moderations", "Moderations are not served"),
        ("/openai/v1/rerank", "Reranking is not served"),
        ("/openai/v1/organization/users", "An organisation's settings"),
        ("/anthropic/v1/complete", "use POST /v1/messages"),
        ("/anthropic/v1/skills", "Skills are not served"),
        ("/anthropic/api/oauth/profile", "Logins are not served"),
        ("/openai/openai/deployments/gpt-4o/chat/completions", "Azure's paths are not served"),
        ("/openai/v1beta/models/g:streamGenerateContent", "Gemini's API is not served"),
        ("/v1beta/models/g:generateContent", "Gemini's API is not served"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict", "Vertex AI's"),
        ("/anthropic/model/anthropic.claude/invoke-with-response-stream", "Bedrock's paths"),
        ("/api/chat", "Ollama's own API is not served"),
        ("/openai/api/tags", "Ollama's own API is not served"),
        ("/openai/model/info", "LiteLLM's own API is not served"),
    ],
)
def test_what_is_not_served_on_purpose_has_its_reason(path, sentence):
    for method in ("GET", "POST"):
        assert sentence in told(method, path).message


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/metrics", "--prometheus-address"),
        ("/health", "GET /healthz"),
        ("/healthz/", "GET /healthz"),
        ("/docs", "/api/v2/aibridge/openapi.json"),
        ("/api/v2/x", "/api/v2/aibridge/"),
        ("/.env", "There is no provider '.env'"),
        ("/openai/models", "Add /v1 to the base URL"),
        ("/openai/v1/chat/completions/models", "Take /chat/completions out of the base URL"),
    ],
)
def test_a_person_is_answered_too(path, sentence):
    assert sentence in told("GET", path).message


@pytest.mark.parametrize(
    ("method", "path", "allow", "sentence"),
    [
        ("GET", "/openai/v1/chat/completions", "POST", "GET is not served at /openai/v1/chat/"),
        ("GET", "/openai/v1/responses", "POST", "use POST."),
        ("POST", "/anthropic/v1/models", "GET, HEAD", "use GET or HEAD."),
        ("DELETE", "/openai/v1/models/ft:x", "GET, HEAD", "DELETE is not served"),
        ("OPTIONS", "/anthropic/v1/messages", "POST", "it has no CORS"),
        ("PROPFIND", "/anthropic/v1/messages", "POST", "This method is not served"),
    ],
)
def test_a_wrong_method_is_told_with_the_right_ones(method, path, allow, sentence):
    error = told(method, path)
    assert (error.kind.status, error.kind.code) == (405, "method_not_allowed")
    assert error.headers()["Allow"] == allow
    assert sentence in error.message


@pytest.mark.parametrize("path", ["/swordfish/v1/messages", "/openai/xswordfishx", "/x/abc/y"])
def test_a_credential_in_the_path_is_not_quoted(path):
    error = wrong_path(PROVIDERS, "POST", path, ("swordfish", "abc"))
    assert error.message.startswith("The path contains the credential that came in a header")


def test_names_that_are_listed_have_a_bound():
    many = make_providers(
        [ProviderSettings("openai", f"name-{n}", None, "https://o.example/v1") for n in range(500)]
    )
    error = told("POST", "/zebra/v1/responses", many)
    assert error.message.endswith("name-6 and 493 more.")
    assert len(base_urls(many.values())) < 200
    assert "none is configured" in told("POST", "/zebra/v1/messages", {}).message


@pytest.mark.parametrize("path", ["/openai" + "/a" * 10_000, "/" + "b" * 30_000])
def test_a_long_path_is_not_looked_into(path):
    assert told("POST", path).message == "The gateway does not serve this route."
