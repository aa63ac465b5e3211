"""Token format `aib_<id>_<secret>`: generation, parsing and hashing.

The id (10 characters) finds the row and is no secret; it is what records and lists show. The
secret has 256 random bits, so a plain SHA-256 of it is safe to store: there is nothing to guess,
and so nothing for a slow hash to slow down. Neither part holds an underscore, and a token is one
word for whoever selects it with a double click.
"""

import hashlib
import secrets
import string
from dataclasses import dataclass, field

from aibridged.gateway_tokens import GATEWAY_TOKEN

PREFIX = "aib"
_ID_ALPHABET = string.digits + string.ascii_lowercase
_ID_LENGTH = 10
_SECRET_ALPHABET = string.digits + string.ascii_letters
_SECRET_LENGTH = 43  # 62 ** 43 > 2 ** 256


@dataclass(frozen=True, slots=True)
class TokenParts:
    """A token taken apart; the secret doesn't show in a repr."""

    id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The token as its owner sends it."""
        return f"{PREFIX}_{self.id}_{self.secret}"

    def digest(self) -> bytes:
        """The SHA-256 of the secret: 32 bytes, all that is ever stored of it."""
        return hashlib.sha256(self.secret.encode()).digest()


def mint() -> TokenParts:
    """A new token, from the system's source of randomness."""
    return TokenParts(_random(_ID_ALPHABET, _ID_LENGTH), _random(_SECRET_ALPHABET, _SECRET_LENGTH))


def parse(token: str) -> TokenParts | None:
    """The parts of a token; None for what can't be one of ours."""
    match = GATEWAY_TOKEN.fullmatch(token)
    return TokenParts(match[1], match[2]) if match else None


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
