"""Settings of the MCP servers whose tools are offered to models."""

import re
from collections.abc import Sequence
from typing import get_args
from urllib.parse import urlsplit

from aibridged.config import kinds, sources
from aibridged.config.declare import Group
from aibridged.config.entries import Entry, EntryList
from aibridged.config.headers import header_kind
from aibridged.config.kinds import Kind
from aibridged.config.options import McpServerSettings, UserCredentials
from aibridged.config.resolution import Mistake

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_ID = 32
_PROTOCOL_HEADERS = re.compile(
    r"accept|accept-encoding|connection|content-encoding|content-length|content-type|host"
    r"|last-event-id|transfer-encoding|mcp-.*",
    re.IGNORECASE,
)


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"{text!r} is not an id like my-server (a-z, 0-9, single dashes)")
    if len(text) > _MAX_ID:
        raise ValueError(f"{text!r} is longer than {_MAX_ID} characters")
    return text


def _url(text: str) -> str:
    """Parse an endpoint; nothing is cut off its end, and its query is kept."""
    kinds.BASE_URL.parse(text.partition("?")[0])
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("contains a space or another character that is invalid in a URL")
    if "#" in text:
        raise ValueError("contains a #, which is never sent to a server")
    return text


def without_query(url: str) -> str:
    """A server's URL as it is shown and recorded: a query may contain a key."""
    return url.partition("?")[0]


def _show_url(url: str) -> str:
    shown = without_query(url)
    return shown if shown == url else f"{shown}?…"


MCP_SERVERS = EntryList(
    name="mcp_servers",
    noun="MCP server",
    word="MCP_SERVER",
    first="id: …",
    group=Group.MCP,
    fields={
        "id": Kind("ID", _id),
        "url": Kind("URL", _url, _show_url),
        "token": kinds.SECRET,
        "token_file": kinds.PATH,
        "headers": header_kind(_PROTOCOL_HEADERS),
        "tool_allow_regex": kinds.REGEX,
        "tool_deny_regex": kinds.REGEX,
        "user_credentials": kinds.choice(*get_args(UserCredentials)),
    },
)


def read_list(entries: Sequence[Entry], mistakes: list[Mistake]) -> tuple[McpServerSettings, ...]:
    """The servers in their order; each invalid one is reported as a mistake."""
    wheres: dict[str, str] = {}
    servers = []
    for entry in entries:
        server = _read_entry(entry, mistakes)
        if server is None:
            continue
        where = entry.fields["id"].where
        if server.id in wheres:
            mistakes.append(
                Mistake(
                    f"{wheres[server.id]} and {where}",
                    f"two MCP servers have the id {server.id!r}",
                    "Use a unique id for each server.",
                )
            )
        wheres.setdefault(server.id, where)
        servers.append(server)
    return tuple(servers)


def _read_entry(entry: Entry, mistakes: list[Mistake]) -> McpServerSettings | None:
    before = len(mistakes)
    for needed, remedy in (
        ("id", "Add an id; the names of its tools begin with it."),
        ("url", "Add the URL of the server, such as https://example.com/mcp."),
    ):
        if needed not in entry.fields:
            mistakes.append(Mistake(entry.where, f"the MCP server has no {needed}", remedy))
    fields = sources.with_inline_secret(entry.fields, "token", mistakes)
    read = sources.read_fields(fields, MCP_SERVERS.fields, mistakes)
    if len(mistakes) > before:
        return None
    server = McpServerSettings(**read)
    _check(server, entry, mistakes)
    return server


def _check(server: McpServerSettings, entry: Entry, mistakes: list[Mistake]) -> None:
    """The mistakes between fields that are valid by themselves."""
    has_token = server.token is not None
    if has_token and server.user_credentials == "required":
        mistakes.append(
            Mistake(
                entry.where,
                "the token would never be sent, since each user's own token is required",
                "Remove the token, or set user_credentials to optional.",
            )
        )
    sends_own = any(name.lower() == "authorization" for name, _ in server.headers)
    if sends_own and (has_token or server.user_credentials != "none"):
        mistakes.append(
            Mistake(
                entry.where,
                "the header Authorization conflicts with a token, which would replace it",
                "Remove one of them.",
            )
        )


def sends_in_the_clear(server: McpServerSettings) -> bool:
    """Whether requests to the server are unencrypted."""
    url = urlsplit(server.url)
    return url.scheme == "http" and not kinds.is_loopback(url.hostname or "")
