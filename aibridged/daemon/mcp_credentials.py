"""The users' own tokens for MCP servers, as the sessions with them ask for them."""

import asyncio
from collections.abc import Mapping

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.config.secret import Secret
from aibridged.identity.credential_key import KEY_FILE, CredentialKey, CredentialKeyError
from aibridged.identity.mcp_credentials import McpCredentialStore
from aibridged.identity.tables import StoreUnavailableError
from aibridged.mcp.credentials import Credentials, CredentialsError, no_credentials
from aibridged.records.database import Engine


def mcp_credentials(settings: Settings, engine: Engine, clock: Clock) -> Credentials:
    """Looks up the users' own tokens for MCP servers; only users of this daemon have any."""
    if settings.auth != "token":
        return no_credentials
    store = McpCredentialStore(engine, CredentialKey(settings.state_dir / KEY_FILE), clock)

    async def look_up(initiator_id: str) -> Mapping[str, Secret]:
        try:
            return await asyncio.to_thread(store.tokens_of, initiator_id)
        except (StoreUnavailableError, CredentialKeyError) as error:
            raise CredentialsError(str(error)) from None

    return look_up
