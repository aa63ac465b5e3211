"""Interface for users' own tokens for MCP servers; `compose` chooses the store."""

from collections.abc import Awaitable, Callable, Mapping

from aibridged.config.secret import Secret


class CredentialsError(Exception):
    """Callers' own tokens can't be read; the message says why and what to do."""


Credentials = Callable[[str], Awaitable[Mapping[str, Secret]]]
"""Looks up a caller's own tokens by the caller's id: each under the id of its server.

Raises:
    CredentialsError: they can't be had.
"""


async def no_credentials(initiator_id: str) -> Mapping[str, Secret]:
    """Nobody has tokens of their own."""
    return {}
