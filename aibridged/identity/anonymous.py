"""No authentication: every caller on the loopback address is the same local actor."""

from aibridged.identity.base import Actor

LOCAL_ACTOR = Actor(id="00000000-0000-0000-0000-000000000000", username="local", is_admin=True)


class NoneAuthenticator:
    """Admits every request. The settings check restricts it to loopback addresses."""

    async def authenticate(self, token: str | None) -> Actor | None:
        return LOCAL_ACTOR

    def known(self, token: str | None, key: bytes | None = None) -> Actor | None:
        return LOCAL_ACTOR

    def refuses(self, token: str) -> bool:
        return False
