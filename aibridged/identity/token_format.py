"""Token format `aib_<id>_<secret>`: generation, parsing and hashing.

A sign-in's refresh token is the same with `air_`.

The id (10 characters) finds the row and is no secret; it is shown in records and lists. The secret
has 256 random bits, so a plain SHA-256 of it is safe to store: guessing is hopeless, so there is
nothing for a slow hash to slow down. Neither part contains an underscore, and a double click
selects the whole token.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field

from aibridged.gateway_tokens import GATEWAY_TOKEN

PREFIX = "aib"
REFRESH_PREFIX = "air"
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
    prefix: str = PREFIX

    @property
    def text(self) -> str:
        """The token as a client sends it."""
        return f"{self.prefix}_{self.id}_{self.secret}"

    def digest(self) -> bytes:
        """The SHA-256 of the secret: 32 bytes, and all that is ever stored of it."""
        return hashlib.sha256(self.secret.encode()).digest()


def mint(prefix: str = PREFIX) -> TokenParts:
    """A new token from the system's source of randomness."""
    return TokenParts(random_id(), _random(_SECRET_ALPHABET, _SECRET_LENGTH), prefix)


def derive(parent: TokenParts, salt: bytes, prefix: str) -> TokenParts:
    """The token that follows from another one's secret and a random salt, always the same.

    Without the secret, which isn't stored, nobody can tell it (HMAC-SHA256).
    """

    def bits(what: str) -> int:
        message = salt + f"{prefix} {what}".encode()
        return int.from_bytes(hmac.digest(parent.secret.encode(), message, "sha256"), "big")

    return TokenParts(
        _spelled(bits("id"), _ID_ALPHABET, _ID_LENGTH),
        _spelled(bits("secret"), _SECRET_ALPHABET, _SECRET_LENGTH),
        prefix,
    )


def random_id() -> str:
    """A new public id: a token's or a sign-in's."""
    return _random(_ID_ALPHABET, _ID_LENGTH)


def parse(token: str, prefix: str = PREFIX) -> TokenParts | None:
    """The parts of a token; None if it isn't one of ours, of this kind."""
    match = GATEWAY_TOKEN.fullmatch(token)
    if match is None or not token.startswith(prefix):
        return None
    return TokenParts(match[1], match[2], prefix)


def public_id(token: str) -> str | None:
    """The public id of an unverified token, ours or a Coder deployment's."""
    match = GATEWAY_TOKEN.fullmatch(token) or CODER_TOKEN.fullmatch(token)
    return match[1] if match else None


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _spelled(number: int, alphabet: str, length: int) -> str:
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(alphabet))
        letters.append(alphabet[rest])
    return "".join(letters)
