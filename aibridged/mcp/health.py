"""Health of the MCP servers, shared by all callers: access, failures and warnings."""

import ssl
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from cachetools import LRUCache
from loguru import logger

from aibridged.clock import Clock
from aibridged.config.mcp_servers import without_query
from aibridged.config.options import McpServerSettings
from aibridged.config.secret import Secret
from aibridged.mcp.credentials import Credentials, CredentialsError
from aibridged.mcp.schemas import Schemas
from aibridged.tasks import Tasks

_REMEMBERED = 4096
_SHORTEST_SECRET = 8  # shorter values in headers and queries are words like any other


@dataclass(frozen=True, slots=True)
class Access:
    """A server, and the token that is sent to it. `whose` is "" where it isn't the caller's."""

    server: McpServerSettings
    token: Secret | None
    whose: str = ""

    def censored(self, text: str) -> str:
        """A server's message without the credentials it got: some quote what they refuse."""
        for secret in self._shown():
            text = text.replace(secret, "****")
        return text

    def _shown(self) -> Iterator[str]:
        if self.token is not None:
            yield self.token.reveal()
        query = urlsplit(self.server.url).query
        words = [word for _, value in self.server.headers for word in value.reveal().split()]
        words += [pair.partition("=")[2] for pair in query.split("&")]
        words += [value for _, value in parse_qsl(query)]
        yield from (word for word in words if len(word) >= _SHORTEST_SECRET)


class ServerHealth:
    """State of all servers, for one event loop.

    By server id, `failures` counts failed openings, and `ended` the sessions that servers ended;
    `last_reason` is why an opening failed, whether or not it works again.
    """

    def __init__(
        self,
        clock: Clock,
        credentials: Credentials,
        failures: Counter[str],
        ended: Counter[str],
    ) -> None:
        self.clock = clock
        self.failures = failures
        self.ended = ended
        self.last_reason: dict[str, str] = {}
        self.tasks = Tasks()
        self.schemas = Schemas()
        self.tls = ssl.create_default_context()
        self._credentials = credentials
        self._failing: LRUCache[tuple[str, str, str], str] = LRUCache(_REMEMBERED)
        self._told: LRUCache[tuple[str, str], bool] = LRUCache(_REMEMBERED)

    async def accesses(
        self, initiator_id: str, servers: Sequence[McpServerSettings]
    ) -> list[Access]:
        """The servers that the caller may use, in order.

        Where own tokens can't be looked up, the servers that need them are left out: with another
        token they might offer more tools, or fewer.
        """
        personal = [each for each in servers if each.user_credentials != "none"]
        tokens: Mapping[str, Secret] = {}
        if personal:
            try:
                tokens = await self._credentials(initiator_id)
            except CredentialsError as error:
                for server in personal:
                    self.failures[server.id] += 1
                logger.warning(
                    "The tools of MCP servers with user credentials are unavailable: {}", error
                )
                servers = [each for each in servers if each not in personal]
        return [
            Access(each, tokens[each.id], initiator_id)
            if each in personal and each.id in tokens
            else Access(each, each.token)
            for each in servers
            if each.user_credentials != "required" or each.id in tokens
        ]

    def is_well(self, access: Access) -> bool:
        """Whether the server's last opening with this access succeeded, or there was none."""
        return _key(access) not in self._failing

    def did_well(self, access: Access) -> None:
        if self._failing.pop(_key(access), None) is not None:
            logger.info("The MCP server {} is available again", access.server.id)

    def failed(self, access: Access, reason: str) -> None:
        """Count a failure, and log it where it is new."""
        self.failures[access.server.id] += 1
        if self._failing.get(_key(access)) != reason:
            self._failing[_key(access)] = reason
            self.last_reason[access.server.id] = reason
            whose = f" for {access.whose}" if access.whose else ""
            logger.bind(server_url=without_query(access.server.url)).warning(
                "The tools of the MCP server {}{} are unavailable: {}",
                access.server.id,
                whose,
                reason,
            )

    def session_ended(self, access: Access) -> None:
        """Count a session that the server ended, and log it."""
        self.ended[access.server.id] += 1
        whose = f" of {access.whose}" if access.whose else ""
        logger.info(
            "The MCP server {} has ended a session{}, as after a restart; opening a new one",
            access.server.id,
            whose,
        )

    def failing(self) -> Counter[str]:
        """By server id, for how many credentials its last opening failed."""
        return Counter(id for id, _url, _whose in self._failing)

    def left_out(self, server_id: str, faults: Sequence[str]) -> None:
        """Log a warning, once each, for entries of a tool list that are left out."""
        news = [each for each in faults if not self._told.get((server_id, each))]
        if news:
            self._told.update({(server_id, each): True for each in news})
            logger.warning("Skipped tools of the MCP server {}: {}", server_id, "; ".join(news))


def _key(access: Access) -> tuple[str, str, str]:
    return access.server.id, access.server.url, access.whose
