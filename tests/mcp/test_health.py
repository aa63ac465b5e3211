"""Who may use which server with which token, and what is said of servers that fail: once."""

from collections import Counter

import pytest

from aibridged.clock import SystemClock
from aibridged.config.options import McpServerSettings
from aibridged.config.secret import Secret
from aibridged.mcp.credentials import CredentialsError, no_credentials
from aibridged.mcp.health import Access, ServerHealth

OPEN = McpServerSettings("open", "http://open")
OURS = McpServerSettings("ours", "http://ours", Secret("shared"))
EITHER = McpServerSettings("either", "http://either", Secret("own"), user_credentials="optional")
MINE = McpServerSettings("mine", "http://mine", user_credentials="required")
ALL = [OPEN, OURS, EITHER, MINE]


@pytest.fixture
def shared():
    def make(credentials=no_credentials):
        return ServerHealth(SystemClock(), credentials, Counter(), Counter())

    return make


async def test_a_caller_without_tokens_uses_the_servers(shared):
    assert await shared().accesses("ann", ALL) == [
        Access(OPEN, None),
        Access(OURS, Secret("shared")),
        Access(EITHER, Secret("own")),
    ]


async def test_a_callers_token_is_sent_only_where_the_settings_say_so(shared):
    async def credentials(initiator_id):
        return {each.id: Secret(f"{initiator_id}-{each.id}") for each in ALL}

    assert await shared(credentials).accesses("ann", ALL) == [
        Access(OPEN, None),
        Access(OURS, Secret("shared")),
        Access(EITHER, Secret("ann-either"), "ann"),
        Access(MINE, Secret("ann-mine"), "ann"),
    ]


async def test_tokens_that_cannot_be_had_cost_the_servers_that_take_them(shared, warnings):
    async def credentials(initiator_id):
        raise CredentialsError("The key is gone.")

    made = shared(credentials)
    assert await made.accesses("ann", ALL) == [Access(OPEN, None), Access(OURS, Secret("shared"))]
    assert made.failures == {"either": 1, "mine": 1}
    (warning,) = warnings
    assert warning.endswith("user credentials are unavailable: The key is gone.")


async def test_nobodys_tokens_are_looked_up_for_nothing(shared):
    async def credentials(initiator_id):
        raise AssertionError

    assert len(await shared(credentials).accesses("ann", [OPEN, OURS])) == 2


def test_a_failure_is_warned_of_when_it_is_news_and_counted_always(shared, warnings):
    made, access = shared(), Access(OURS, Secret("shared"))
    assert made.is_well(access)
    for reason in ("down", "down", "on fire"):
        made.failed(access, reason)
    assert not made.is_well(access)
    assert made.failures == {"ours": 3}
    assert warnings == [
        "The tools of the MCP server ours are unavailable: down",
        "The tools of the MCP server ours are unavailable: on fire",
    ]
    made.did_well(access)
    assert made.is_well(access)
    made.failed(access, "down")
    assert len(warnings) == 3


def test_one_callers_bad_token_says_nothing_of_the_server(shared, warnings):
    made = shared()
    made.failed(Access(MINE, Secret("bad"), "ann"), "it answered 401")
    assert made.is_well(Access(MINE, Secret("good"), "bob"))
    assert warnings == ["The tools of the MCP server mine for ann are unavailable: it answered 401"]


def test_tools_that_are_left_out_are_told_once(shared, warnings):
    made = shared()
    made.left_out("ours", [])
    made.left_out("ours", ["'a': bad", "'b': bad"])
    made.left_out("ours", ["'a': bad", "'c': bad"])
    made.left_out("ours", ["'a': bad"])
    assert warnings == [
        "Skipped tools of the MCP server ours: 'a': bad; 'b': bad",
        "Skipped tools of the MCP server ours: 'c': bad",
    ]


def test_what_a_server_was_shown_is_struck_from_its_words():
    headers = (("X-Key", Secret("Basic header-secret")), ("X-Team", Secret("core")))
    server = McpServerSettings("a", "http://a/mcp?key=query%2Dsecret&v=2", headers=headers)
    access = Access(server, Secret("token"))
    said = "core 2: Bearer token, Basic header-secret, /mcp?key=query%2Dsecret, query-secret"
    assert access.censored(said) == "core 2: Bearer ****, Basic ****, /mcp?key=****, ****"
    assert Access(OPEN, None).censored(said) == said


def test_failing_counts_credentials_until_they_work_again(shared):
    made = shared()
    ann, bob = Access(MINE, Secret("a"), "ann"), Access(MINE, Secret("b"), "bob")
    made.failed(ann, "refused")
    made.failed(bob, "timed out")
    made.failed(bob, "timed out")
    assert made.failing() == {"mine": 2}
    assert made.last_reason == {"mine": "timed out"}
    made.did_well(ann)
    assert made.failing() == {"mine": 1}
