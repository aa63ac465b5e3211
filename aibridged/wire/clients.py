"""Which program is calling, and which of its sessions it says this is.

Programs tell themselves by their User-Agent or a header of their own. The names, the prefixes and
the session headers are those that Coder's AI Bridge goes by, so that records compare.
"""

from collections.abc import Mapping
from typing import NamedTuple

UNKNOWN = "Unknown"
_MAX_SESSION = 256  # characters; a longer one is no session id


class _Client(NamedTuple):
    """One program: how its User-Agent begins (in lower case), and its session headers, best first.

    `header` is one that gives the program away whatever the User-Agent: any value, or `value`.
    """

    name: str
    prefixes: tuple[str, ...]
    sessions: tuple[str, ...] = ()
    header: str = ""
    value: str = ""


# The first that fits counts, so that "copilot/" stands before anything shorter would.
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
    """The client's name, "Unknown" if it can't be told, and its session id, if it sends one.

    `headers` must not mind the case of names. A session header is believed only from the client
    that is known to send it.
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
