"""Value types of sign-ins through an identity provider."""

from enum import Enum, StrEnum, auto

import msgspec

from aibridged.config.secret import Secret
from aibridged.identity.grants import Identity
from aibridged.identity.token_format import TokenParts


class Kind(StrEnum):
    """What has signed in."""

    DEVICE = "device"
    BROWSER = "browser"


class Standing(Enum):
    """What a refresh token is worth."""

    GOOD = auto()
    REPEATED = auto()
    """It was used a moment ago, and gets the same successor."""
    REUSED = auto()
    """It was used before, so two have it: the sign-in is to end."""
    ENDED = auto()
    """Its sign-in has ended, or its user is suspended or deleted."""


class SignIn(msgspec.Struct, frozen=True):
    """A sign-in that goes on, and its user. `identity` is theirs at the identity provider."""

    id: str
    user_id: str
    username: str
    email: str | None
    identity: Identity


class Presented(msgspec.Struct, frozen=True):
    """A refresh token whose secret is right."""

    token: TokenParts
    sign_in: SignIn
    standing: Standing


class Pair(msgspec.Struct, frozen=True):
    """A bearer, valid for `expires_in` seconds, and the refresh token for the next one."""

    bearer: Secret
    expires_in: int
    refresh_token: Secret
    email: str | None
