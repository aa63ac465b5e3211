"""Authentication by a Coder deployment, with Coder session tokens.

Coder documents `GET /api/v2/users/me` with the header `Coder-Session-Token`: 200 with the user, or
401. It refuses suspended users itself and activates dormant ones, so only active users pass.
"""

from uuid import UUID

import aiohttp
import msgspec

from aibridged.config.proxy_url import ProxyUrl
from aibridged.identity.base import Actor
from aibridged.identity.http_lookup import Service
from aibridged.identity.token_format import CODER_TOKEN

# Such a user may do everything in a deployment.
_ADMIN_ROLE = "owner"


class _Role(msgspec.Struct):
    name: str
    organization_id: str = ""


class _User(msgspec.Struct):
    """The fields of codersdk.User that are used."""

    id: UUID
    username: str
    status: str
    roles: list[_Role] = []

    @property
    def is_admin(self) -> bool:
        return any(role.name == _ADMIN_ROLE and not role.organization_id for role in self.roles)


_decode = msgspec.json.Decoder(_User).decode


class CoderAuthenticator:
    """Asks the deployment at `coder_url` about every token, through `proxy` if there is one. The
    session's creator closes it."""

    def __init__(
        self, coder_url: str, session: aiohttp.ClientSession, proxy: ProxyUrl | None = None
    ) -> None:
        self._url = f"{coder_url.rstrip('/')}/api/v2/users/me"
        self._coder = Service(f"Coder at {coder_url.rstrip('/')}", "--coder-url", session, proxy)

    async def authenticate(self, token: str | None) -> Actor | None:
        """The active user behind `token`, or None.

        Raises:
            AuthUnavailableError: Coder can't be reached, or returns neither a user nor a refusal.
        """
        # Anything else, such as a provider's key in the wrong header, must not be sent to Coder.
        match = CODER_TOKEN.fullmatch(token or "")
        if token is None or match is None:
            return None
        headers = {"Coder-Session-Token": token, "Accept": "application/json"}
        answer = await self._coder.ask(self._url, headers)
        if answer is None:
            return None
        try:
            user = _decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._coder.unavailable("returned a response that is not a user") from None
        if user.status != "active":
            return None
        return Actor(str(user.id), user.username, match[1], user.is_admin)
