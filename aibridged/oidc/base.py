"""The protocol of an identity provider, and what keeps it from vouching for a person."""

from typing import Protocol

from aibridged.config.secret import Secret
from aibridged.core.claims import Person


class GrantEndedError(Exception):
    """The identity provider no longer vouches for the person: they are to sign in again.

    Their refresh token was refused (`invalid_grant`), or their account was disabled.
    """


class ProviderUnavailableError(Exception):
    """The identity provider can't be asked at present; the message says why, without secrets.

    The refresh token that was used stays good, unless there is a `successor` to be kept in its
    place: the provider had issued that before it failed.
    """

    def __init__(self, reason: str, successor: Secret | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.successor = successor


class ClientRefusedError(ProviderUnavailableError):
    """The identity provider doesn't accept the gateway's client ID or secret."""


class IdentityProvider(Protocol):
    """An OpenID Connect provider. Each method has a deadline of its own.

    Each may raise ProviderUnavailableError. That somebody may not sign in, by the rules or because
    an answer isn't what it should be, is a SignInRefusedError.
    """

    @property
    def issuer(self) -> str:
        """The identifier of the issuer, as in its tokens."""
        ...

    async def authorization_url(
        self, *, redirect_uri: str, state: str, nonce: str, verifier: str
    ) -> str:
        """The URL that a browser is sent to; the PKCE challenge of `verifier` is S256."""
        ...

    async def exchange(
        self, *, code: str, redirect_uri: str, nonce: str, verifier: str
    ) -> tuple[Person, Secret | None]:
        """The person whom an authorization code stands for, and the provider's refresh token.

        Raises:
            SignInRefusedError: they may not sign in, or the code is not valid.
        """
        ...

    async def refresh(self, refresh_token: Secret, subject: str) -> tuple[Person, Secret | None]:
        """The person as the provider knows them now, and its next refresh token (None: the same).

        Raises:
            GrantEndedError: the provider no longer vouches for them.
            SignInRefusedError: they may no longer sign in.
        """
        ...
