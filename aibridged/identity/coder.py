"""Authenticates callers by asking a Coder deployment whose session token it is.

Coder documents `GET /api/v2/users/me` with the header `Coder-Session-Token`: 200 with the user, or
401. It refuses suspended users itself and wakes dormant ones, so whatever isn't active is refused.
"""

import re
from uuid import UUID

import aiohttp
import msgspec

from aibridged.identity.base import Actor, AuthUnavailableError

TIMEOUT_S = 5.0
_MAX_CONNECTIONS = 32
_MAX_ANSWER_BYTES = 256 * 1024
_REFUSED = frozenset({401, 403})

# Coder's keys are `<id>-<secret>`. Anything else, such as a provider's key in the wrong header,
# is not for Coder to see.
_TOKEN = re.compile(r"([A-Za-z0-9]{10})-[A-Za-z0-9]{22,}", re.ASCII)

# Who has it may do everything in a deployment.
_ADMIN_ROLE = "owner"


class _Role(msgspec.Struct):
    name: str
    organization_id: str = ""


class _User(msgspec.Struct):
    """What is read of codersdk.User."""

    id: UUID
    username: str
    status: str
    roles: list[_Role] = []

    @property
    def is_admin(self) -> bool:
        return any(role.name == _ADMIN_ROLE and not role.organization_id for role in self.roles)


_decode = msgspec.json.Decoder(_User).decode


def make_session(timeout: float = TIMEOUT_S) -> aiohttp.ClientSession:
    """A session that keeps nothing between callers; a lookup may take `timeout` seconds."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS),
        # Coder sets session cookies: one caller's must not go out with the next one's token.
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout),
    )


class CoderAuthenticator:
    """Asks the deployment at `coder_url` about every token. The session is the maker's to close."""

    def __init__(self, coder_url: str, session: aiohttp.ClientSession) -> None:
        self._coder_url = coder_url.rstrip("/")
        self._session = session

    async def authenticate(self, token: str | None) -> Actor | None:
        """The active user behind `token`, or None.

        Raises:
            AuthUnavailableError: Coder can't be reached, or answers neither a user nor a refusal.
        """
        match = _TOKEN.fullmatch(token or "")
        if token is None or match is None:
            return None
        answer = await self._ask(token)
        if answer is None:
            return None
        try:
            user = _decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._unavailable("answered something that is no user") from None
        if user.status != "active":
            return None
        return Actor(str(user.id), user.username, match[1], user.is_admin)

    async def _ask(self, token: str) -> bytes | None:
        """The answer's body, or None for a refusal."""
        try:
            async with self._session.get(
                f"{self._coder_url}/api/v2/users/me",
                headers={"Coder-Session-Token": token, "Accept": "application/json"},
                # A redirect would carry the token to wherever it points.
                allow_redirects=False,
            ) as response:
                if response.status in _REFUSED:
                    return None
                if response.status != 200:
                    raise self._unavailable(f"answered {response.status}")
                return await self._read(response)
        except TimeoutError:
            raise self._unavailable("did not answer in time") from None
        except aiohttp.ClientError as error:
            raise self._unavailable(f"could not be asked: {_reason(error)}") from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                raise self._unavailable("answered more than a user")
        return bytes(body)

    def _unavailable(self, what: str) -> AuthUnavailableError:
        return AuthUnavailableError(f"Coder at {self._coder_url} {what}; is --coder-url right?")


def _reason(error: aiohttp.ClientError) -> str:
    """What the system says of a failed connection; other errors may quote what was sent."""
    return str(error) if isinstance(error, aiohttp.ClientConnectorError) else type(error).__name__
