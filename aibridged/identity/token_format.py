"""Token format `aib_<id>_<secret>`: generation, parsing and hashing.

The id (10 characters) finds the row and is no secret; it is shown in records and lists. The secret
has 256 random bits, so a plain SHA-256 of it is safe to store: guessing is hopeless, so there is
nothing for a slow hash to slow down. Neither part contains an underscore, and a double click
selects the whole token.
"""

import hashlib
import re
import secrets
import string
from dataclasses import dataclass, field

from aibridged.gateway_tokens import GATEWAY_TOKEN

PREFIX = "aib"
_ID_ALPHABET = string.digits + string.ascii_lowercase
_ID_LENGTH = 10
_SECRET_ALPHABET = string.digits + string.ascii_letters
_SECRET_LENGTH = 43  # 62 ** 43 > 2 ** 256

CODER_TOKEN = re.compile(r"([A-Za-z0-9]{10})-[A-Za-z0-9]{22,}", re.ASCII)
"""The pattern of a Coder deployment's token, with its id."""


@dataclass(frozen=True, slots=True)
class TokenParts:
    """A parsed token; its repr hides the secret."""

    id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The token as a client sends it."""
        return f"{PREFIX}_{self.id}_{self.secret}"

    def digest(self) -> bytes:
        """The SHA-256 of the secret: 32 bytes, and all that is ever stored of it."""
        return hashlib.sha256(self.secret.encode()).digest()


def mint() -> TokenParts:
    """A new token from the system's source of randomness."""
    return TokenParts(_random(_ID_ALPHABET, _ID_LENGTH), _random(_SECRET_ALPHABET, _SECRET_LENGTH))


def parse(token: str) -> TokenParts | None:
    """The parts of a token; None if it isn't one of ours."""
    match = GATEWAY_TOKEN.fullmatch(token)
    return TokenParts(match[1], match[2]) if match else None


def public_id(token: str) -> str | None:
    """The public id of an unverified token, ours or a Coder deployment's."""
    match = GATEWAY_TOKEN.fullmatch(token) or CODER_TOKEN.fullmatch(token)
    return match[1] if match else None


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
