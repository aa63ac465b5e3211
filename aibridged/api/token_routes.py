"""Routes of tokens: of all users for administrators, and of the caller's own."""

from collections.abc import Callable

import msgspec

from aibridged.api import people_shapes as shapes
from aibridged.api.filters import BadFilterError
from aibridged.api.json_stream import Chunks
from aibridged.api.openapi import Parameter
from aibridged.api.people import (
    People,
    Stores,
    changing,
    default_of,
    lifetime,
    longest_of,
    shown_target,
    target,
)
from aibridged.api.routes import Call, Question, Route
from aibridged.api.user_routes import ID
from aibridged.config.secret import Secret
from aibridged.identity.directory import find_user, tokens_of_user
from aibridged.identity.users import TokenInfo
from aibridged.records.query import Query
from aibridged.records.storable import storable

MAX_OWN = 50
"""Tokens that people have given themselves, which are valid or were created within a day."""

_KINDS = ("revoked", "all")
_encode = msgspec.json.Encoder().encode


class _Tokens:
    """Answers about tokens, and changes of them.

    `own` is for the caller's own tokens, else they are those of the user in the path.
    """

    def __init__(self, people: People, *, own: bool) -> None:
        self._people = people
        self._own = own

    def page(self, query: Query, question: Question) -> Chunks:
        self._people.check()
        include = question.parameters.get("include") or None
        if include not in (None, *_KINDS):
            raise BadFilterError(f"include is one of {', '.join(_KINDS)}.")
        with query.reading() as connection, shown_target():
            name = question.actor.id if self._own else storable(question.id)
            found = tokens_of_user(
                connection,
                find_user(connection, name).id,
                revoked=include is not None,
                sign_ins=include == "all",
            )
        now, settings = self._people.now(), self._people.settings
        longest = longest_of(settings, own=self._own)
        yield _encode(
            shapes.GatewayTokens(
                results=[shapes.token(each, now) for each in found],
                default_lifetime_seconds=int(default_of(settings, own=self._own)),
                longest_lifetime_seconds=None if longest is None else int(longest),
            )
        )

    async def create(self, call: Call) -> shapes.CreatedToken:
        body: shapes.NewToken = call.body
        seconds = lifetime(body.lifetime_seconds, self._people.settings, own=self._own)

        def make(stores: Stores) -> tuple[TokenInfo, Secret]:
            user = stores.user(call.actor.id if self._own else call.id)
            at_most = MAX_OWN if self._own else None
            return stores.users.create_token(
                user.username, name=body.name, lifetime=seconds, at_most=at_most
            )

        info, secret = await self._people.change(call.actor, make)
        return shapes.created_token(info, self._people.now(), secret.reveal())

    async def renew(self, call: Call) -> shapes.GatewayToken:
        body: shapes.Renewal = call.body
        seconds = lifetime(body.lifetime_seconds, self._people.settings, own=self._own)

        def make(stores: Stores) -> TokenInfo:
            with target():
                return stores.users.renew_token(storable(call.id), seconds, self._owner(call))

        return await self._changed(call, make)

    async def revoke(self, call: Call) -> shapes.GatewayToken:
        def make(stores: Stores) -> TokenInfo:
            with target():
                return stores.users.revoke_token(storable(call.id), self._owner(call))

        return await self._changed(call, make)

    async def _changed(
        self, call: Call, make: Callable[[Stores], TokenInfo]
    ) -> shapes.GatewayToken:
        info = await self._people.change(call.actor, make)
        await self._people.forget_token(info.id)
        return shapes.token(info, self._people.now())

    def _owner(self, call: Call) -> str | None:
        return call.actor.id if self._own else None


_TOKEN_ID = Parameter("id", "The id of a token, or its first characters, at least 8.", where="path")
_INCLUDE = Parameter(
    "include", "revoked: revoked ones, too. all: those of sign-ins, too, and revoked ones."
)


def routes(people: People) -> tuple[Route, ...]:
    """The routes of tokens."""
    return (
        *_routes(_Tokens(people, own=False), "/users/{id}/tokens", "/tokens/{id}", "a user's"),
        *_routes(_Tokens(people, own=True), "/me/tokens", "/me/tokens/{id}", "the caller's own"),
    )


def _routes(tokens: _Tokens, several: str, one: str, whose: str) -> tuple[Route, ...]:
    of_user = (ID,) if "{id}" in several else ()
    for_admins = bool(of_user)
    return (
        Route(
            several,
            f"List {whose} tokens, the latest made first, without secrets",
            tokens.page,
            shapes.GatewayTokens,
            (*of_user, _INCLUDE),
            for_admins=for_admins,
        ),
        changing(
            several,
            f"Create one of {whose} tokens; the answer has its secret, which can't be had again",
            tokens.create,
            method="post",
            body=shapes.NewToken,
            shape=shapes.CreatedToken,
            parameters=of_user,
            for_admins=for_admins,
        ),
        changing(
            f"{one}/renew",
            f"Let one of {whose} tokens last longer from now on, also if it has expired",
            tokens.renew,
            method="post",
            body=shapes.Renewal,
            shape=shapes.GatewayToken,
            parameters=(_TOKEN_ID,),
            for_admins=for_admins,
        ),
        changing(
            one,
            f"Revoke one of {whose} tokens for good",
            tokens.revoke,
            method="delete",
            shape=shapes.GatewayToken,
            parameters=(_TOKEN_ID,),
            for_admins=for_admins,
        ),
    )
