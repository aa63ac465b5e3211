"""Interface between the pipeline and the authentication backends."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec


class Actor(msgspec.Struct, frozen=True):
    """The authenticated user or service behind a request.

    `api_key_id` names the token and is no secret; it is None where there is no token. `expires_at`
    is the token's expiry, where it is known to have one. `groups` are names, in order.
    """

    id: str
    username: str
    api_key_id: str | None = None
    is_admin: bool = False
    expires_at: datetime | None = None
    email: str | None = None
    groups: tuple[str, ...] = ()


class AuthUnavailableError(Exception):
    """Authentication is unavailable: requests get 503, not 401.

    The message says why, for the log; it contains no token and no part of one.
    """


class Rejection(StrEnum):
    """Why a token is not valid although its secret is right."""

    EXPIRED = "token_expired"
    REVOKED = "token_revoked"
    SUSPENDED = "user_suspended"


class TokenRejectedError(Exception):
    """A token whose secret is right is no longer valid: the caller may be told why.

    `actor` is its user, with the token's public id.
    """

    def __init__(self, rejection: Rejection, actor: Actor) -> None:
        super().__init__(rejection.value)
        self.rejection = rejection
        self.actor = actor


class Authenticator(Protocol):
    """Authenticates tokens."""

    async def authenticate(self, token: str | None) -> Actor | None:
        """The actor behind `token`, or None where it isn't valid.

        Raises:
            TokenRejectedError: it was valid once; a wrong secret never learns that.
            AuthUnavailableError: the identity backend is unavailable.
        """
        ...


class Gatekeeper(Authenticator, Protocol):
    """An authenticator with a cache."""

    def known(self, token: str | None, key: bytes | None = None) -> Actor | None:
        """The actor behind `token` if it is cached as valid; None says nothing about the token.

        `key` is that of `core.auth.token_key`, where it is at hand.
        """
        ...

    def refuses(self, token: str) -> bool:
        """Whether `token` is known to be invalid without a lookup.

        Raises:
            TokenRejectedError: it is, and its secret is right.
        """
        ...
