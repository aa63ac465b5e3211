"""Identifies the client program and its session.

Programs identify themselves by their User-Agent or a header of their own. The names, the prefixes
and the session headers are those of Coder's AI Bridge, so that records are comparable.
"""

from collections.abc import Mapping
from typing import NamedTuple

UNKNOWN = "Unknown"
_MAX_SESSION = 256  # characters; a longer one isn't a session id


class _Client(NamedTuple):
    """One program: the prefix of its User-Agent (lower case), and its session headers, best first.

    `header` identifies the program whatever the User-Agent: with any value, or with `value`.
    """

    name: str
    prefixes: tuple[str, ...]
    sessions: tuple[str, ...] = ()
    header: str = ""
    value: str = ""


# The first match counts, so "copilot/" comes before any shorter prefix.
_CLIENTS = (
    _Client("Claude Code", ("claude",), ("X-Claude-Code-Session-Id",)),
    _Client("Codex", ("codex",), ("session-id", "session_id")),
    _Client("Zed", ("zed/",)),
    _Client("GitHub Copilot (VS Code)", ("githubcopilotchat/",), ("x-interaction-id",)),
    _Client("GitHub Copilot (CLI)", ("copilot/",), ("X-Client-Session-Id",)),
    _Client(
        "Kilo Code", ("kilo-code/", "kilo/"), ("X-KILOCODE-TASKID",), "originator", "kilo-code"
    ),
    _Client("Roo Code", ("roo-code/", "roocode/"), (), "originator", "roo-code"),
    _Client("Coder Agents", ("coder-agents/",), ("X-Coder-Chat-Id",)),
    _Client("Charm Crush", ("charm-crush/", "charm crush/")),
    _Client("Mux", ("mux/",), ("X-Mux-Workspace-Id",)),
    _Client("Junie", ("junie",)),
    _Client("OpenCode", ("opencode/",), ("X-OpenCode-Session", "x-session-affinity")),
    _Client("Cursor", ("cursor/",), (), "x-cursor-client-version"),
)


def identify(headers: Mapping[str, str]) -> tuple[str, str | None]:
    """The client's name, "Unknown" by default, and its session id, if it sends one.

    `headers` must be case-insensitive. A session header is only trusted from the client that is
    known to send it.
    """
    agent = headers.get("User-Agent", "").strip().lower()
    for client in _CLIENTS:
        if agent.startswith(client.prefixes) or _has_header(client, headers):
            return client.name, _session(client, headers)
    return UNKNOWN, None


def _has_header(client: _Client, headers: Mapping[str, str]) -> bool:
    if not client.header:
        return False
    value = headers.get(client.header, "").strip()
    return value == client.value if client.value else bool(value)


def _session(client: _Client, headers: Mapping[str, str]) -> str | None:
    for name in client.sessions:
        value = headers.get(name, "").strip()
        if 0 < len(value) <= _MAX_SESSION:
            return value
    return None
