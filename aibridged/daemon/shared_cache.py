"""The token cache of one of several workers: what one forgets, all forget."""

from collections.abc import Set
from typing import Any

import msgspec

from aibridged.daemon.workers.siblings import Siblings
from aibridged.identity.base import Authenticator
from aibridged.identity.cache import CachedAuthenticator

FORGET = "forget tokens"
"""To the other workers, with a `Forgotten`."""
SETTLE = "settle tokens"
"""To the other workers, which answer once they have done what they were told before."""
SETTLE_S = 1.0


class Forgotten(msgspec.Struct):
    """Ids of tokens and of users, or all there are."""

    tokens: list[str] = []
    users: list[str] = []
    all: bool = False


class SharedCache(CachedAuthenticator):
    """A cache that tells its siblings what to forget: a revocation counts for all at once."""

    def __init__(self, siblings: Siblings, authenticator: Authenticator, **options: Any) -> None:
        self._siblings = siblings
        super().__init__(authenticator, **options)
        siblings.on(FORGET, self._told, Forgotten)
        siblings.on(SETTLE, self._settled)

    def forget_all(self) -> None:
        super().forget_all()
        self._siblings.tell(FORGET, Forgotten(all=True))

    def forget(self, api_key_ids: Set[str]) -> None:
        super().forget(api_key_ids)
        self._siblings.tell(FORGET, Forgotten(tokens=[*api_key_ids]))

    def forget_users(self, user_ids: Set[str]) -> None:
        # Others may have cached tokens of theirs that this one hasn't.
        super().forget(self.tokens_of(user_ids))
        self._siblings.tell(FORGET, Forgotten(users=[*user_ids]))

    async def settle(self) -> None:
        """Return once the siblings have forgotten what they were told, or don't answer in time."""
        await self._siblings.ask(SETTLE, gives=bool, within=SETTLE_S)

    async def _settled(self, _: object) -> bool:
        return True  # questions are handled in the order in which they come

    async def _told(self, forgotten: Forgotten) -> None:
        self.forget_here(forgotten)

    def forget_here(self, forgotten: Forgotten) -> None:
        """Forget what another process has told of; no other one is."""
        if forgotten.all:
            super().forget_all()
        else:
            super().forget({*forgotten.tokens, *self.tokens_of({*forgotten.users})})
