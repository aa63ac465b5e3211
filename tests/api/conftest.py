"""The routes of people on both databases, asked as the web page asks them."""

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from aibridged.api.handler import Api
from aibridged.api.people import People
from aibridged.api.people_routes import people_routes
from aibridged.config.options import PolicySettings, Settings
from aibridged.core.policies import Policies
from aibridged.errors import GatewayError
from aibridged.identity.base import Actor
from aibridged.identity.cache import CachedAuthenticator
from aibridged.identity.looks import Looks
from aibridged.identity.token_authenticator import TokenAuthenticator
from aibridged.identity.tokens import TokenStore
from aibridged.records.query import Query
from aibridged.records.viewer import NO_TEXTS


class Asking:
    """Asks as `actor`, which is root, an admin, at first."""

    def __init__(self, api: Api, store: TokenStore, cache: CachedAuthenticator) -> None:
        self.store, self.cache = store, cache
        self.configured = SimpleNamespace(settings=Settings(auth="token"), policies=None)
        self.root = self.actor = self.person("root", is_admin=True)
        self._api = api

    def person(self, username: str, *, is_admin: bool = False, **more: Any) -> Actor:
        """A new user, as an actor."""
        user = self.store.create_user(username, is_admin=is_admin, **more)
        return Actor(user.id, username, is_admin=is_admin, groups=user.groups)

    def policies(self, *settings: PolicySettings) -> None:
        """Put these policies in force."""
        self.configured.policies = Policies(settings)

    async def token(self, username: str) -> tuple[str, str]:
        """A token of a user's that the gateway's cache knows, and its id."""
        info, secret = self.store.create_token(username, name="laptop", lifetime=None)
        await self.cache.authenticate(secret.reveal())
        return secret.reveal(), info.id

    async def __call__(
        self, method: str, path: str, body: dict[str, Any] | None = None, **parameters: str
    ) -> Any:
        answer = await self._api.ask(self.actor, method, path, parameters, body)
        return msgspec.json.decode(msgspec.json.encode(answer))

    async def refusal(
        self, method: str, path: str, body: dict[str, Any] | None = None, **parameters: str
    ) -> tuple[int, str]:
        """The status and the sentence with which it is refused."""
        with pytest.raises(GatewayError) as raised:
            await self(method, path, body, **parameters)
        return raised.value.kind.status, str(raised.value)

    async def audit(self, kind: str) -> list[tuple[str, str, str]]:
        """Actors, actions of a kind and targets in the audit log, the latest first."""
        was, self.actor = self.actor, self.root
        found = (await self("GET", "/audit", q=f"action:{kind}"))["results"]
        self.actor = was
        return [(each["actor"], each["action"], each["target"]) for each in found]


@pytest.fixture
async def ask(database: Any, clock: Any) -> AsyncIterator[Asking]:
    store = TokenStore(database.engine, clock, "setup")
    authenticator = TokenAuthenticator(store, clock)
    cache = CachedAuthenticator(authenticator, clock)
    api = Api(Query(database.engine, clock, NO_TEXTS), clock, Looks(database.engine, clock))
    asking = Asking(api, store, cache)
    current: Callable[[], Any] = lambda: asking.configured  # noqa: E731
    people = People(database.engine, clock, current, cache)
    api.serve(people_routes(people))
    yield asking
    api.close()
    await people.close()
    await authenticator.close()
