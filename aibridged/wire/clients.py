"""Identifies the client program and its session.

Programs identify themselves by their User-Agent, by a header of their own, or by the first words of
their system prompt. Programs that Coder's AI Bridge knows have its names, prefixes and session
headers, so that records are comparable.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from multidict import istr

UNKNOWN = "Unknown"
_MAX_SESSION = 256  # characters; a longer one isn't a session id
_MAX_AGENT = 512  # characters of a User-Agent that is remembered

# Before the session of which a title is asked for.
_TITLE = "title-"


class _Client(NamedTuple):
    """One program: how its User-Agent begins (in lower case), and its session headers, best first.

    `headers` give the program away whatever the User-Agent: by these values, or where it is empty
    by any. `introduction` does, in a system prompt, where no header does.
    """

    name: str
    prefixes: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    introduction: bytes = b""


_CLAUDE = "Claude Code"

# The first that fits counts, so that what borrows another's User-Agent stands before that one.
_CLIENTS = (
    _Client(_CLAUDE, ("claude",), ("X-Claude-Code-Session-Id",)),
    _Client("Codex", ("codex",), ("session-id", "session_id")),
    _Client("Zed", ("zed/",)),
    _Client("GitHub Copilot (VS Code)", ("githubcopilotchat/",), ("x-interaction-id",)),
    _Client(
        "GitHub Copilot (CLI)",
        ("copilot/",),
        ("X-Client-Session-Id",),
        (),
        b"You are the GitHub Copilot CLI",
    ),
    _Client(
        "Kilo Code",
        ("kilo-code/", "kilo/"),
        ("X-KILOCODE-TASKID", "x-session-affinity", "x-session-id", "session-id"),
        (("originator", "kilo-code"), ("x-title", "Kilo Code")),
        b"You are Kilo",
    ),
    _Client("Roo Code", ("roo-code/", "roocode/"), (), (("originator", "roo-code"),)),
    _Client("Coder Agents", ("coder-agents/",), ("X-Coder-Chat-Id",)),
    _Client("Charm Crush", ("charm-crush/", "charm crush/")),
    _Client("Xum", ("xum/", "mux/"), ("X-Mux-Workspace-Id",)),
    _Client("Junie", ("junie:",)),
    _Client(
        "OpenCode",
        ("opencode/",),
        ("X-OpenCode-Session", "x-session-affinity", "x-session-id", "session-id"),
        (),
        b"You are OpenCode",
    ),
    _Client("Cursor", ("cursor/",), (), (("x-cursor-client-version", ""),)),
    # From here on the names are not Coder's, which has none for these. Seen: Qwen Code 0.24,
    # Cline 3.0, Continue 1.5, pi 0.74, aider 0.86, OpenHands 1.16, Mistral Vibe 3.0, gptme 0.35,
    # fast-agent 0.10, mini-swe-agent 2.4. Most send the User-Agent of an SDK.
    _Client("Qwen Code", ("qwencode/",), (), (), b"You are Qwen Code"),
    _Client("Cline", ("cline/",), (), (("x-title", "Cline"),), b"You are Cline"),
    _Client("Continue", ("continue/",), (), (), b"You are an agent in the Continue CLI"),
    _Client("pi", ("pi/",), ("session_id",), (), b"operating inside pi, a coding agent"),
    _Client(
        "aider", ("aider",), (), (("x-title", "Aider"),), b"Act as an expert software developer."
    ),
    _Client("OpenHands", ("openhands",), (), (), b"You are OpenHands agent"),
    _Client(
        "Mistral Vibe",
        ("mistral-vibe/",),
        ("x-affinity",),
        (("x-affinity", ""),),
    ),
    _Client("gptme", ("gptme",), (), (("x-title", "gptme"),), b"You are gptme"),
    _Client("fast-agent", ("fast-agent",), (), (), b"- Client: fast-agent"),
    _Client(
        "mini-swe-agent",
        (),
        (),
        (),
        b"You are a helpful assistant that can interact with a computer.",
    ),
)

WAITING_TOOLS = frozenset(
    {
        "write_stdin",  # Codex
        "wait",
        "wait_agent",
        "BashOutput",  # Claude Code
        "TaskOutput",
    }
)
"""Tools that wait for a command or an agent that runs already: agents call them over and over."""

# In a form that headers are looked up by at once.
_SESSIONS = {client.name: tuple(map(istr, client.sessions)) for client in _CLIENTS}
USER_AGENT = istr("User-Agent")

# Claude Code's, of the agents that it starts beside the main one.
_AGENT = "X-Claude-Code-Agent-Id"

_QWEN = "Qwen Code"
_QWEN_AS_CLAUDE = "claude-cli/0."


def identify(
    headers: Mapping[str, str], introduction: bytes = b"", *, session_id: str | None = None
) -> tuple[str, str | None]:
    """The client's name, "Unknown" if it can't be told, and its session id, if it sends one.

    `headers` must not mind the case of names. `introduction` is how the system prompt begins, and
    `session_id` the one in the body's `metadata.user_id`, which is believed from Claude Code alone.
    A session header is believed only from the client that is known to send it.
    """
    agent = headers.get(USER_AGENT, "")
    named = _named if len(agent) <= _MAX_AGENT else _named.__wrapped__
    client, earlier, telling = named(agent)
    if telling and any(map(headers.__contains__, telling)):
        client = next((each for each in earlier if _has_header(each, headers)), client)
    if client is not None:
        session = _session(client, headers)
        if client.name == _CLAUDE:
            session = session or session_id
            if session is None and _plain(agent).startswith(_QWEN_AS_CLAUDE):
                return _QWEN, None
        return client.name, session
    if introduction:
        for client in _CLIENTS:
            if client.introduction and client.introduction in introduction:
                return client.name, _session(client, headers)
    return UNKNOWN, None


def agent_of(headers: Mapping[str, str]) -> str | None:
    """The id of an agent within a session, where the program sends one."""
    return headers.get(_AGENT)


@lru_cache(maxsize=256)
def _named(agent: str) -> tuple[_Client | None, tuple[_Client, ...], tuple[istr, ...]]:
    """The client of a User-Agent; those that headers of their own tell before it; these headers."""
    agent, earlier = _plain(agent), list[_Client]()
    found = None
    for client in _CLIENTS:
        if agent.startswith(client.prefixes):
            found = client
            break
        if client.headers:
            earlier.append(client)
    telling = {istr(name) for client in earlier for name, _ in client.headers}
    return found, tuple(earlier), tuple(telling)


def _plain(agent: str) -> str:
    return agent.strip().lower()


def _has_header(client: _Client, headers: Mapping[str, str]) -> bool:
    for name, wanted in client.headers:
        value = headers.get(name, "").strip()
        if value == wanted if wanted else value:
            return True
    return False


def _session(client: _Client, headers: Mapping[str, str]) -> str | None:
    for name in _SESSIONS[client.name]:
        value = headers.get(name)
        if value is not None:
            value = value.strip().removeprefix(_TITLE)
            if 0 < len(value) <= _MAX_SESSION:
                return value
    return None
