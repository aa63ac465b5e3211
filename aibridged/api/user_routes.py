"""Routes of users, for administrators."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import msgspec

from aibridged.api import people_shapes as shapes
from aibridged.api.filters import BadFilterError, read_limit
from aibridged.api.json_stream import Chunks
from aibridged.api.openapi import Parameter
from aibridged.api.people import People, Stores, changing, read_words, shown_target
from aibridged.api.routes import Call, Question, Route
from aibridged.core.budgets import Period, user_subject
from aibridged.errors import INVALID_REQUEST, GatewayError
from aibridged.identity.directory import (
    UserFilter,
    count_users,
    find_user,
    page_of_users,
    sign_ins_of_user,
)
from aibridged.identity.users import UnknownError, User, UserEdit, UserStatus
from aibridged.records.database import Connection
from aibridged.records.query import MAX_LIMIT, Query
from aibridged.records.spend import NOTHING, spent_since
from aibridged.records.storable import storable

_encode = msgspec.json.Encoder().encode


class _Users:
    """Answers about users, and changes of them."""

    def __init__(self, people: People) -> None:
        self._people = people

    def page(self, query: Query, question: Question) -> Chunks:
        self._people.check()
        wanted = _filter(question.parameters)
        with query.reading() as connection:
            try:
                found = page_of_users(connection, wanted._replace(limit=wanted.limit + 1))
            except UnknownError as error:
                raise BadFilterError(str(error)) from None
            page = found[: wanted.limit]
            spent = self._spent(connection, page)
            count = count_users(connection, wanted)
        results = [shapes.user_summary(each, spent[each.id]) for each in page]
        yield _encode(shapes.Users(count=count, results=results, more=len(found) > wanted.limit))

    def one(self, query: Query, question: Question) -> Chunks:
        self._people.check()
        with query.reading() as connection:
            with shown_target():
                found = find_user(connection, storable(question.id))
            spent = self._spent(connection, [found])
            sign_ins = sign_ins_of_user(connection, found.id, self._people.now())
        yield _encode(shapes.user_details(found, spent[found.id], sign_ins))

    async def create(self, call: Call) -> shapes.User:
        body: shapes.NewUser = call.body

        def make(stores: Stores) -> User:
            return stores.users.create_user(
                body.username,
                name=body.name,
                email=body.email,
                is_admin=body.is_admin,
                is_robot=body.is_robot,
                groups=body.groups,
            )

        return shapes.user(await self._people.change(call.actor, make))

    async def edit(self, call: Call) -> shapes.User:
        body: shapes.UserChange = call.body
        groups = None if body.groups is None else tuple(body.groups)
        edit = UserEdit(body.username, body.name, body.email, body.is_admin, groups)

        def make(stores: Stores) -> User:
            user = stores.user(call.id)
            if body.is_admin is False:
                _check_not_self(call, user)
            return stores.users.edit_user(user.username, edit)

        return await self._changed(call, make)

    async def suspend(self, call: Call) -> shapes.User:
        return await self._of_another(call, lambda stores: stores.users.suspend_user)

    async def resume(self, call: Call) -> shapes.User:
        def make(stores: Stores) -> User:
            return stores.users.resume_user(stores.user(call.id).username)

        return await self._changed(call, make)

    async def delete(self, call: Call) -> shapes.User:
        return await self._of_another(call, lambda stores: stores.users.delete_user)

    async def _of_another(
        self, call: Call, change: Callable[[Stores], Callable[[str], User]]
    ) -> shapes.User:
        def make(stores: Stores) -> User:
            user = stores.user(call.id)
            _check_not_self(call, user)
            return change(stores)(user.username)

        return await self._changed(call, make)

    async def sign_out(self, call: Call) -> shapes.SignedOut:
        def make(stores: Stores) -> tuple[User, int]:
            user = stores.user(call.id)
            return user, stores.sign_ins.sign_out(user.username, actor=stores.actor)

        user, ended = await self._people.change(call.actor, make)
        await self._people.forget_user(user.id)
        return shapes.SignedOut(username=user.username, ended=ended)

    async def _changed(self, call: Call, make: Callable[[Stores], User]) -> shapes.User:
        user = await self._people.change(call.actor, make)
        await self._people.forget_user(user.id)
        return shapes.user(user)

    def _spent(self, connection: Connection, page: Sequence[User]) -> Mapping[str, int]:
        """What they have spent this month, in nano-dollars by their ids."""
        start: date = Period.MONTHLY.start(self._people.now())
        found = spent_since(connection, [user_subject(each.id) for each in page], {start})
        return {
            each.id: found.get((user_subject(each.id), start), NOTHING).spent_nanos for each in page
        }


def _filter(given: Mapping[str, str]) -> UserFilter:
    status = given.get("status") or None
    if status not in (None, *UserStatus):
        raise BadFilterError(f"status is one of {', '.join(UserStatus)}.")
    return UserFilter(
        text=read_words(given, "q"),
        status=None if status is None else UserStatus(status),
        group=read_words(given, "group"),
        limit=read_limit(given),
        after_id=read_words(given, "after_id"),
    )


def _check_not_self(call: Call, user: User) -> None:
    """Check that administrators don't lock themselves out: one is left at all times."""
    if user.id == call.actor.id:
        raise GatewayError(
            INVALID_REQUEST,
            "You can't suspend or delete yourself, or give up being an administrator: ask another "
            "one, or use the command (aibridged users).",
        )


ID = Parameter("id", "A username, or the id of a user.", where="path")


def routes(people: People) -> tuple[Route, ...]:
    """The routes of users."""
    users = _Users(people)

    return (
        Route(
            "/users",
            "List users, by username",
            users.page,
            shapes.Users,
            (
                Parameter("q", "Part of a username, name, e-mail address or id."),
                Parameter("status", f"Only users of this status: {', '.join(UserStatus)}."),
                Parameter("group", "Only members of the group of this name."),
                Parameter("limit", "Maximum page size, 0 for 100.", minimum=0, maximum=MAX_LIMIT),
                Parameter("after_id", "Cursor of the next page: the id of the last user."),
            ),
            for_admins=True,
        ),
        changing(
            "/users",
            "Create a user",
            users.create,
            method="post",
            body=shapes.NewUser,
            shape=shapes.User,
        ),
        Route(
            "/users/{id}",
            "Get a user with their sign-ins",
            users.one,
            shapes.UserDetails,
            (ID,),
            for_admins=True,
        ),
        changing(
            "/users/{id}",
            "Change a user's username, name, e-mail address, role or groups",
            users.edit,
            method="patch",
            body=shapes.UserChange,
            shape=shapes.User,
            parameters=(ID,),
        ),
        *(
            changing(path, summary, serve, method=method, shape=shape, parameters=(ID,))
            for path, method, summary, serve, shape in (
                (
                    "/users/{id}",
                    "delete",
                    "Delete a user and revoke their tokens; their records are kept",
                    users.delete,
                    shapes.User,
                ),
                (
                    "/users/{id}/suspend",
                    "post",
                    "Reject all tokens of a user until they are resumed",
                    users.suspend,
                    shapes.User,
                ),
                (
                    "/users/{id}/resume",
                    "post",
                    "Accept the tokens of a suspended user again",
                    users.resume,
                    shapes.User,
                ),
                (
                    "/users/{id}/sign-out",
                    "post",
                    "End all sign-ins of a user; tokens that no sign-in issued stay valid",
                    users.sign_out,
                    shapes.SignedOut,
                ),
            )
        ),
    )
