"""Interface between the pipeline and the authentication backends."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Actor:
    """The authenticated person or robot behind a request.

    `api_key_id` names the token that was shown, and is no secret; it is None where there is none
    to name. `expires_at` is the token's end, where it is known to have one.
    """

    id: str
    username: str
    api_key_id: str | None = None
    is_admin: bool = False
    expires_at: datetime | None = None


class AuthUnavailableError(Exception):
    """Nobody can tell now whose token it is, so nobody gets in (503, not 401).

    The message says why, for the log; it holds no token and no part of one.
    """


class Authenticator(Protocol):
    """Tells whose token it is."""

    async def authenticate(self, token: str | None) -> Actor | None:
        """The actor behind `token`, or None where the request may not pass.

        Raises:
            AuthUnavailableError: whoever knows the callers can't be reached.
        """
        ...


class Gatekeeper(Authenticator, Protocol):
    """An authenticator that remembers."""

    def known(self, token: str | None) -> Actor | None:
        """The actor behind `token` if that needs no lookup; None says nothing about the token."""
        ...

    def refuses(self, token: str) -> bool:
        """Whether it needs no lookup to say that `token` is nobody's."""
        ...
