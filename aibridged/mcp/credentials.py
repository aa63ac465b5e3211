"""Interface for users' own tokens for MCP servers; `compose` chooses the store."""

from collections.abc import Awaitable, Callable, Mapping

from aibridged.config.secret import Secret


class CredentialsError(Exception):
    """Callers' own tokens can't be read; the message says why and how to fix it."""


Credentials = Callable[[str], Awaitable[Mapping[str, Secret]]]
"""Returns a caller's own tokens by the caller's id: a mapping from server ids to tokens.

Raises:
    CredentialsError: they can't be read.
"""


async def no_credentials(initiator_id: str) -> Mapping[str, Secret]:
    """No caller has own tokens."""
    return {}
