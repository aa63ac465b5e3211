"""Store of users' own tokens for MCP servers, encrypted at rest.

Everything here blocks: the daemon calls it off its event loop.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec
import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.config.secret import Secret
from aibridged.identity.audit import Trail
from aibridged.identity.credential_key import CredentialKey
from aibridged.identity.tables import (
    MAX_SERVER_ID,
    mcp_credentials,
    not_deleted,
    transaction,
    users,
)
from aibridged.identity.users import IdentityError, no_such_user


class McpCredential(msgspec.Struct, frozen=True):
    """The public part of a user's token for a server."""

    username: str
    server_id: str
    created_at: datetime


class McpCredentialStore:
    """Stores users' tokens for MCP servers. Every method may raise StoreUnavailableError.

    `actor` is who changes them, for the audit log: by default the user of the operating system.
    """

    def __init__(
        self, engine: sa.Engine, key: CredentialKey, clock: Clock, actor: str | None = None
    ) -> None:
        self._engine = engine
        self._key = key
        self._now = clock.wall
        self._trail = Trail(clock, actor)

    def put(self, username: str, server_id: str, token: Secret) -> McpCredential:
        """Store the user's token for the server, replacing any earlier one.

        Raises:
            IdentityError: there is no such user, or the key is lost.
        """
        if len(server_id) > MAX_SERVER_ID:
            raise IdentityError(f"The id of an MCP server has at most {MAX_SERVER_ID} characters.")
        user_id, any_encrypted = self._look_up(username)
        if not self._key.exists:
            if any_encrypted:
                raise self._key.lost()
            self._key.make()
        credential = McpCredential(username, server_id, self._now())
        row = {
            "server_id": server_id,
            "encrypted_token": self._key.encrypt(token, _purpose(user_id, server_id)),
            "created_at": credential.created_at,
        }
        values = [sa.literal(value, mcp_credentials.c[name].type) for name, value in row.items()]
        of_user = sa.select(users.c.id, *values).where(users.c.id == user_id, not_deleted)
        with transaction(self._engine) as connection:
            connection.execute(mcp_credentials.delete().where(_is(user_id, server_id)))
            connection.execute(mcp_credentials.insert().from_select(["user_id", *row], of_user))
            self._trail.note(connection, "mcp_token.set", user_id, after={"server": server_id})
        return credential

    def remove(self, username: str, server_id: str) -> None:
        """Delete the user's token for the server.

        Raises:
            IdentityError: there is no such user, or they have none.
        """
        user_id, _ = self._look_up(username)
        with transaction(self._engine) as connection:
            gone = connection.execute(mcp_credentials.delete().where(_is(user_id, server_id)))
            if gone.rowcount == 0:
                raise IdentityError(
                    f"{username} has no token for the MCP server {server_id!r}. "
                    "See `aibridged users mcp-token list`."
                )
            self._trail.note(connection, "mcp_token.remove", user_id, before={"server": server_id})

    def list_all(self) -> list[McpCredential]:
        """All tokens' public parts, by user and server."""
        statement = (
            sa.select(users.c.username, mcp_credentials.c.server_id, mcp_credentials.c.created_at)
            .join(users)
            .order_by(users.c.username, mcp_credentials.c.server_id)
        )
        with transaction(self._engine) as connection:
            return [McpCredential(**row._mapping) for row in connection.execute(statement)]

    def tokens_of(self, user_id: str) -> Mapping[str, Secret]:
        """The user's tokens by server id; none for unknown users.

        Raises:
            CredentialKeyError: there are some, and their key is missing or a different one.
        """
        statement = sa.select(mcp_credentials.c.server_id, mcp_credentials.c.encrypted_token).where(
            mcp_credentials.c.user_id == user_id
        )
        with transaction(self._engine) as connection:
            rows = connection.execute(statement).all()
        return {
            row.server_id: self._key.decrypt(row.encrypted_token, _purpose(user_id, row.server_id))
            for row in rows
        }

    def _look_up(self, username: str) -> tuple[str, bool]:
        """The user's id, and whether any user has a token."""
        with transaction(self._engine) as connection:
            found = sa.select(users.c.id).where(users.c.username == username, not_deleted)
            user_id = connection.execute(found).scalar_one_or_none()
            if user_id is None:
                known = connection.execute(sa.select(users.c.username).where(not_deleted)).scalars()
                raise no_such_user(username, list(known))
            one = connection.execute(sa.select(mcp_credentials.c.user_id).limit(1)).first()
        return user_id, one is not None


def _is(user_id: str, server_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(mcp_credentials.c.user_id == user_id, mcp_credentials.c.server_id == server_id)


def _purpose(user_id: str, server_id: str) -> str:
    """The purpose that a token's ciphertext is bound to."""
    return f"mcp-credential {user_id} {server_id}"
