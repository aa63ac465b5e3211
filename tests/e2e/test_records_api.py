"""Querying over HTTP, through the gateway."""

import asyncio

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from aibridged.clock import SystemClock
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import database_url, make_engine

API = "/api/v2/aibridge"
MESSAGES = "/anthropic/v1/messages"


@pytest.fixture
async def gateway(start_gateway):
    return await start_gateway(auth="token")


@pytest.fixture
def tokens(gateway, tmp_path):
    """Tokens of an admin and of two others, by name."""
    store = TokenStore(make_engine(database_url(tmp_path / "state-0")), SystemClock())
    made = {}
    for name in ("admin", "ann", "bob"):
        store.create_user(name, is_admin=name == "admin")
        made[name] = store.create_token(name, name="t", lifetime=None)[1].reveal()
    return made


@pytest.fixture
def get(gateway, client, tokens, clock):
    async def get(who, path, prefix=API, **query):
        clock.advance(1)  # nobody is to be told to slow down
        headers = {"X-Coder-Token": tokens[who]} if who else {}
        async with client.get(gateway.url + prefix + path, params=query, headers=headers) as reply:
            return reply.status, await reply.json()

    return get


@pytest.fixture
async def asked(gateway, client, tokens, clock):
    for who, model, session in (("ann", "a", "s"), ("bob", "b", "s"), ("ann", "c", "t")):
        body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"X-Api-Key": tokens[who], "X-Claude-Code-Session-Id": session}
        headers["User-Agent"] = "claude-cli/2.1.0 (external, cli)"
        async with client.post(gateway.url + MESSAGES, json=body, headers=headers) as reply:
            assert reply.status == 200
            await reply.read()
        clock.advance(1)


async def ended(get, count):
    """Ends are written a moment after the answer."""
    async with asyncio.timeout(20):
        while (await get("admin", "/interceptions", q="status:completed"))[1]["count"] < count:
            pass


@pytest.mark.parametrize("prefix", [API, "/api/v2/ai-gateway"])
async def test_the_calls_of_coders_documentation(asked, gateway, get, client, tokens, prefix):
    """Its API reference has each with these two headers."""
    await ended(get, 3)
    headers = {"Accept": "application/json", "Coder-Session-Token": tokens["admin"]}

    async def call(path):
        async with client.get(gateway.url + prefix + path, headers=headers) as reply:
            assert (reply.status, reply.content_type) == (200, "application/json")
            return await reply.json()

    assert await call("/clients") == ["Claude Code"]
    assert await call("/models") == ["a", "b", "c"]
    assert await call("/providers") == ["anthropic"]
    listed = await call("/sessions")
    assert listed["count"] == len(listed["sessions"]) == 3
    session = await call(f"/sessions/{listed['sessions'][0]['id']}")
    assert session["threads"][0]["id"]
    requests = await call("/interceptions")
    assert requests["count"] == len(requests["results"]) == 3


@pytest.mark.parametrize("other", [{}, {"Authorization": "Basic YTpi"}, {"X-Api-Key": "sk-own"}])
async def test_coders_header_authenticates(gateway, client, tokens, other):
    headers = {"Coder-Session-Token": tokens["ann"], **other}
    for path in ("interceptions", "sessions", "models"):
        async with client.get(f"{gateway.url}{API}/{path}", headers=headers) as reply:
            assert reply.status == 200, await reply.read()
    headers["Coder-Session-Token"] = "aib_0a0a0a0a0a_wrong"
    async with client.get(f"{gateway.url}{API}/sessions", headers=headers) as reply:
        assert reply.status == 401


async def test_coders_header_is_the_last_that_authenticates_elsewhere(
    gateway, client, tokens, fake
):
    body = {"model": "a", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    session = {"Coder-Session-Token": tokens["ann"]}
    for more, status in (({}, 200), ({"X-Api-Key": "wrong"}, 401)):
        async with client.post(gateway.url + MESSAGES, json=body, headers=session | more) as reply:
            assert reply.status == status
    assert fake.seen == 1
    forwarded = str(fake.requests[-1].raw_headers)
    assert "x-api-key" in forwarded.lower()
    assert tokens["ann"] not in forwarded


async def test_admins_see_all_and_others_their_own(asked, get):
    await ended(get, 3)
    status, all_of_them = await get("admin", "/interceptions")
    assert (status, all_of_them["count"]) == (200, 3)
    assert [each["model"] for each in all_of_them["results"]] == ["c", "b", "a"]
    assert all_of_them["results"][1]["initiator"]["username"] == "bob"
    for who, models in (("ann", ["c", "a"]), ("bob", ["b"])):
        _, own = await get(who, "/interceptions", q="")
        assert [each["model"] for each in own["results"]] == models
        assert own["count"] == len(models)
        assert (await get(who, "/interceptions", q="initiator:admin"))[1]["count"] == 0
        assert (await get(who, "/models"))[1] == sorted(models)
    of_bob = all_of_them["results"][1]["id"]
    assert (await get("bob", f"/interceptions/{of_bob}"))[1]["model"] == "b"
    status, error = await get("ann", f"/interceptions/{of_bob}")
    assert (status, error["error"]["code"]) == (404, "route_not_supported")
    _, session = await get("bob", "/sessions/s/interceptions")
    assert [each["model"] for thread in session["threads"] for each in thread["interceptions"]] == [
        "b"
    ]


async def test_admins_see_what_was_changed(get, tokens):
    status, page = await get("admin", "/audit", q="action:user target:ann", limit="1")
    assert (status, page["count"], page["more"]) == (200, 1, False)
    [row] = page["results"]
    assert (row["action"], row["username"], row["before"]) == ("user.create", "ann", None)
    assert row["after"]["username"] == "ann"
    _, rest = await get("admin", "/audit", after_id=str(row["id"]))
    assert row["id"] not in [each["id"] for each in rest["results"]]
    _, nothing = await get("admin", "/audit", q='actor:"\0" started_after:2025-01-01T00:00:00Z')
    assert nothing == {"count": 0, "results": [], "more": False}


async def test_filters_and_pages(asked, get):
    _, first = await get("admin", "/interceptions", limit="1")
    _, second = await get("admin", "/interceptions", after_id=first["results"][0]["id"])
    assert [each["model"] for each in second["results"]] == ["b", "a"]
    _, found = await get("admin", "/interceptions", q="model:a initiator:ann")
    assert [each["model"] for each in found["results"]] == ["a"]
    _, sessions = await get("admin", "/sessions", q="initiator:ann")
    assert [each["id"] for each in sessions["sessions"]] == ["t", "s"]
    _, older = await get("admin", "/sessions", q="initiator:ann", after_session_id="t", limit="0")
    assert [each["id"] for each in older["sessions"]] == ["s"]
    assert (await get("admin", "/clients"))[1] == ["Claude Code"]
    assert (await get("admin", "/providers"))[1] == ["anthropic"]
    assert (await get("admin", "/models", q="model:b"))[1] == ["b"]


async def test_a_session_has_coders_shape(asked, get):
    await ended(get, 3)
    _, session = await get("ann", "/sessions/s")
    assert (session["initiator"]["username"], session["client"]) == ("ann", "Claude Code")
    assert session["metadata"]["request_user_agent"] == "claude-cli/2.1.0 (external, cli)"
    (thread,) = session["threads"]
    assert (thread["prompt"], thread["model"], thread["agentic_actions"]) == ("hi", "a", [])
    assert thread["token_usage"]["output_tokens"] > 0


@pytest.mark.parametrize(
    ("who", "path", "query", "status", "code"),
    [
        (None, "/interceptions", {}, 401, "unauthenticated"),
        ("ann", "/audit", {}, 403, "admin_required"),
        ("admin", "/audit", {"q": "colour:red"}, 400, "invalid_request"),
        ("admin", "/audit", {"after_id": "x"}, 400, "invalid_request"),
        ("admin", "/interceptions", {"q": "colour:red"}, 400, "invalid_request"),
        ("admin", "/interceptions", {"after_id": "nope"}, 400, "invalid_request"),
        ("admin", "/interceptions", {"limit": "1001"}, 400, "invalid_request"),
        ("admin", "/sessions", {"after_session_id": "nope"}, 400, "invalid_request"),
        ("admin", "/sessions/s", {"limit": "201"}, 400, "invalid_request"),
        ("admin", "/sessions/nope/interceptions", {}, 404, "route_not_supported"),
        ("admin", "/interceptions/nope", {}, 404, "route_not_supported"),
        ("admin", "/sessions/nope", {}, 404, "route_not_supported"),
        ("admin", "/models/nope", {}, 404, "route_not_supported"),
        ("admin", "/interceptions/a/b", {}, 404, "route_not_supported"),
    ],
)
async def test_refusals(get, who, path, query, status, code):
    got, error = await get(who, path, **query)
    assert (got, error["error"]["code"]) == (status, code)


async def test_it_is_there_under_both_prefixes_and_no_other(gateway, get, client, tokens):
    assert (await get("ann", "/models", prefix="/api/v2/ai-gateway"))[0] == 200
    assert (await get("ann", "/clients", prefix=""))[0] == 404
    headers = {"X-Coder-Token": tokens["ann"]}
    async with client.delete(f"{gateway.url}{API}/models", headers=headers) as reply:
        assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")
    async with client.delete(f"{gateway.url}{API}/nope", headers=headers) as reply:
        assert reply.status == 404


async def test_the_document_tells_the_truth(asked, gateway, get, client, tokens, clock):
    status, document = await get("admin", "/openapi.json")
    assert status == 200
    # Events go on, and have a test of their own.
    schema = schemathesis.openapi.from_dict(document).exclude(path_regex="/events$")

    def drive():
        for each in schema.get_all_operations():

            @given(case=each.ok().as_strategy())
            @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
            def check(case):
                place = "" if case.operation.path.startswith("/v1/") else API
                clock.advance(60)  # wrong tokens are tried, too, and are bounded
                # No schema can say what the filter language takes, or which ids there are.
                case.call_and_validate(
                    base_url=gateway.url + place,
                    headers={"X-Coder-Token": tokens["admin"]},
                    # It leaves out one of the headers, where another one is enough.
                    excluded_checks=[positive_data_acceptance, ignored_auth],
                )

            check()

    await asyncio.to_thread(drive)
    for path, told in document["paths"].items():
        server = told.get("servers", document["servers"])[0]["url"].rstrip("/")
        async with client.get(f"{gateway.url}{server}{path.format(id='0')}") as reply:
            assert reply.status == 401
