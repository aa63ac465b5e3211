"""What the routes of people share: the stores in the name of a caller, off the event loop."""

from collections.abc import Awaitable, Callable, Generator, Mapping, Set
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from loguru import logger

from aibridged.api.filters import BadFilterError
from aibridged.api.openapi import Parameter
from aibridged.api.routes import Call, Route
from aibridged.clock import Clock
from aibridged.config import durations
from aibridged.config.options import Settings, longest_lifetime
from aibridged.core.policies import Policies
from aibridged.core.rate_limit import RETRY_AFTER_S, RateLimiter
from aibridged.errors import (
    INVALID_REQUEST,
    NO_USERS_HERE,
    QUERY_FAILED,
    RATE_LIMITED,
    ROUTE_NOT_SUPPORTED,
    GatewayError,
)
from aibridged.identity.base import Actor, AuthUnavailableError
from aibridged.identity.directory import GroupSummary, find_group, find_user
from aibridged.identity.groups import GroupStore
from aibridged.identity.off_loop import OffLoop
from aibridged.identity.sign_ins import SignInStore
from aibridged.identity.tables import transaction
from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import IdentityError, UnknownError, User
from aibridged.records.database import Connection, Engine
from aibridged.records.storable import storable

A_SECOND = 10
"""Rate limit of a caller's changes, and their burst."""

MAX_WORDS = 256
"""Characters of a parameter."""

T = TypeVar("T")

_ELSEWHERE = {
    "coder": "Users and tokens are Coder's (--aibridge-auth coder): see to them there.",
    "none": "Without authentication (--aibridge-auth none) there are no users, groups or tokens.",
}


class Configured(Protocol):
    """The configuration in force."""

    @property
    def settings(self) -> Settings: ...
    @property
    def policies(self) -> Policies | None: ...


class Forgetful(Protocol):
    """What remembers tokens, and is told what has changed."""

    def forget(self, api_key_ids: Set[str]) -> None: ...
    def forget_users(self, user_ids: Set[str]) -> None: ...
    def forget_all(self) -> None: ...

    async def settle(self) -> None: ...


class UnknownTargetError(IdentityError):
    """What the path of a request names isn't there."""


class Stores:
    """The stores in the name of a caller, for the audit log. They block."""

    def __init__(self, engine: Engine, clock: Clock, actor: str, settings: Settings) -> None:
        self._engine = engine
        self.actor = actor
        self.users = TokenStore(engine, clock, actor)
        self.groups = GroupStore(engine, clock, actor)
        self.sign_ins = SignInStore(engine, clock, bearer_ttl=settings.bearer_ttl)

    def user(self, name: str) -> User:
        """The user whom the path of a request names, by username or id."""
        with self._target() as connection:
            return find_user(connection, storable(name))

    def group(self, name: str) -> GroupSummary:
        """The group that the path of a request names, by name or id."""
        with self._target() as connection:
            return find_group(connection, storable(name))

    @contextmanager
    def _target(self) -> Generator[Connection]:
        with target(), transaction(self._engine) as connection:
            yield connection


class People:
    """The users, groups and tokens of this daemon.

    `current` returns the configuration in force. `cache` is that of the gateway, where tokens are
    cached, and of other replicas: what is changed here counts at once.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        current: Callable[[], Configured],
        cache: Forgetful | None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self.now = clock.wall
        self._cache = cache
        self._engine = engine
        self._clock = clock
        self._current = current
        self._off_loop = OffLoop("users and tokens")
        self._limiter = RateLimiter(A_SECOND, clock) if limiter is None else limiter

    @property
    def settings(self) -> Settings:
        return self._current().settings

    @property
    def policies(self) -> Policies | None:
        return self._current().policies

    def check(self) -> None:
        """Check that users are kept here.

        Raises:
            GatewayError: they aren't.
        """
        if (said := _ELSEWHERE.get(self.settings.auth)) is not None:
            raise GatewayError(NO_USERS_HERE, said)

    async def change(self, actor: Actor, make: Callable[[Stores], T]) -> T:
        """What `make` returns, which is called in a thread and changes something.

        Raises:
            GatewayError: there are no users here, the caller is over their limit, the change is
                refused, or the database is unavailable.
        """
        self.check()
        if not self._limiter.admit(actor.id.encode()):
            raise GatewayError(RATE_LIMITED, retry_after=RETRY_AFTER_S)
        stores = Stores(self._engine, self._clock, actor.username, self.settings)
        try:
            return await self._off_loop(make, stores)
        except UnknownTargetError as error:
            raise GatewayError(ROUTE_NOT_SUPPORTED, str(error)) from None
        except IdentityError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        except AuthUnavailableError as error:
            logger.error("Users, groups and tokens can't be changed: {}", error)
            raise GatewayError(
                QUERY_FAILED,
                "The database is unavailable: the change may not have been made.",
                retry_after=1,
            ) from None

    async def forget_user(self, id: str) -> None:
        """Have the tokens of a user, of whom something has changed, looked up again."""
        if self._cache is not None:
            self._cache.forget_users({id})
            await self._cache.settle()

    async def forget_token(self, id: str) -> None:
        """Have a token that has changed looked up again."""
        if self._cache is not None:
            self._cache.forget({id})
            await self._cache.settle()

    async def forget_all(self) -> None:
        """Have all tokens looked up again."""
        if self._cache is not None:
            self._cache.forget_all()
            await self._cache.settle()

    async def close(self) -> None:
        """Wait until the changes under way have ended."""
        await self._off_loop.close()


@contextmanager
def target() -> Generator[None]:
    """UnknownTargetError in place of UnknownError: what the path of a change names is within."""
    try:
        yield
    except UnknownError as error:
        raise UnknownTargetError(str(error)) from None


@contextmanager
def shown_target() -> Generator[None]:
    """404 in place of UnknownError: what the path of a query names is within."""
    try:
        yield
    except UnknownError as error:
        raise GatewayError(ROUTE_NOT_SUPPORTED, str(error)) from None


def lifetime(seconds: int | None, settings: Settings, *, own: bool) -> float | None:
    """How long a token is to last, in seconds; None is unlimited.

    `seconds` None is the default, and 0 unlimited. `own` is for those who give themselves a token.

    Raises:
        GatewayError: it is longer than the settings allow.
    """
    longest = longest_of(settings, own=own)
    if seconds is None:
        return default_of(settings, own=own)
    if longest is not None and (seconds == 0 or seconds > longest):
        raise GatewayError(INVALID_REQUEST, f"A token lasts at most {durations.show(longest)}.")
    return seconds or None


def longest_of(settings: Settings, *, own: bool) -> float | None:
    """The longest lifetime of a token, None for an unlimited one.

    Those that people give themselves always end.
    """
    longest = longest_lifetime(settings)
    return settings.default_token_lifetime if own and longest is None else longest


def default_of(settings: Settings, *, own: bool) -> float:
    """The lifetime of a token for which none is asked."""
    longest = longest_of(settings, own=own)
    default = settings.default_token_lifetime
    return default if longest is None else min(default, longest)


def read_words(given: Mapping[str, str], name: str) -> str | None:
    """A parameter, None if it isn't given or is empty.

    Raises:
        BadFilterError: it is too long.
    """
    text = given.get(name) or None
    if text is not None and len(text) > MAX_WORDS:
        raise BadFilterError(f"{name} is longer than {MAX_WORDS} characters.")
    return None if text is None else storable(text)


def changing(
    path: str,
    summary: str,
    serve: Callable[[Call], Awaitable[Any]],
    *,
    method: str,
    shape: Any,
    parameters: tuple[Parameter, ...] = (),
    body: Any = None,
    for_admins: bool = True,
) -> Route:
    """A route that changes something."""
    return Route(
        path,
        summary,
        None,
        shape,
        parameters,
        for_admins=for_admins,
        method=method,
        body=body,
        serve=serve,
    )
