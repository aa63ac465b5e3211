"""Routes of groups, for administrators."""

from collections.abc import Callable

import msgspec

from aibridged.api import people_shapes as shapes
from aibridged.api.filters import BadFilterError, read_limit
from aibridged.api.json_stream import Chunks
from aibridged.api.openapi import Parameter
from aibridged.api.people import People, Stores, changing, read_words, shown_target
from aibridged.api.routes import Call, Question, Route
from aibridged.identity.directory import (
    GroupSummary,
    count_groups,
    find_group,
    page_of_groups,
)
from aibridged.identity.users import UnknownError
from aibridged.records.query import MAX_LIMIT, Query
from aibridged.records.storable import storable

_encode = msgspec.json.Encoder().encode


class _Groups:
    """Answers about groups, and changes of them."""

    def __init__(self, people: People) -> None:
        self._people = people

    def page(self, query: Query, question: Question) -> Chunks:
        self._people.check()
        given = question.parameters
        text, limit = read_words(given, "q"), read_limit(given)
        with query.reading() as connection:
            try:
                found = page_of_groups(connection, text, limit + 1, read_words(given, "after_id"))
            except UnknownError as error:
                raise BadFilterError(str(error)) from None
            count = count_groups(connection, text)
        results = [shapes.group(each) for each in found[:limit]]
        yield _encode(shapes.UserGroups(count=count, results=results, more=len(found) > limit))

    def one(self, query: Query, question: Question) -> Chunks:
        self._people.check()
        with query.reading() as connection, shown_target():
            found = find_group(connection, storable(question.id))
        yield _encode(shapes.group(found))

    async def create(self, call: Call) -> shapes.UserGroup:
        body: shapes.NewGroup = call.body

        def make(stores: Stores) -> GroupSummary:
            made = stores.groups.create(body.name)
            return GroupSummary(made.id, made.name, made.created_at, 0)

        return shapes.group(await self._people.change(call.actor, make))

    async def delete(self, call: Call) -> shapes.UserGroup:
        def make(stores: Stores) -> GroupSummary:
            group = stores.group(call.id)
            stores.groups.delete(group.name)
            return group

        return await self._changed(call, make)

    async def add(self, call: Call) -> shapes.UserGroup:
        return await self._of_members(call, lambda stores: stores.groups.add)

    async def remove(self, call: Call) -> shapes.UserGroup:
        return await self._of_members(call, lambda stores: stores.groups.remove)

    async def _of_members(
        self, call: Call, change: Callable[[Stores], Callable[[str, list[str]], object]]
    ) -> shapes.UserGroup:
        body: shapes.Members = call.body

        def make(stores: Stores) -> GroupSummary:
            group = stores.group(call.id)
            change(stores)(group.name, body.users)
            return stores.group(group.id)

        return await self._changed(call, make)

    async def _changed(
        self, call: Call, make: Callable[[Stores], GroupSummary]
    ) -> shapes.UserGroup:
        group = await self._people.change(call.actor, make)
        await self._people.forget_all()
        return shapes.group(group)


_ID = Parameter("id", "The name or the id of a group.", where="path")


def routes(people: People) -> tuple[Route, ...]:
    """The routes of groups."""
    groups = _Groups(people)
    return (
        Route(
            "/groups",
            "List groups, by name; their members are the users in them",
            groups.page,
            shapes.UserGroups,
            (
                Parameter("q", "Part of a name."),
                Parameter("limit", "Maximum page size, 0 for 100.", minimum=0, maximum=MAX_LIMIT),
                Parameter("after_id", "Cursor of the next page: the id of the last group."),
            ),
            for_admins=True,
        ),
        changing(
            "/groups",
            "Create a group without members",
            groups.create,
            method="post",
            body=shapes.NewGroup,
            shape=shapes.UserGroup,
        ),
        Route("/groups/{id}", "Get a group", groups.one, shapes.UserGroup, (_ID,), for_admins=True),
        changing(
            "/groups/{id}",
            "Delete a group with its spend limits; its members stay users",
            groups.delete,
            method="delete",
            shape=shapes.UserGroup,
            parameters=(_ID,),
        ),
        changing(
            "/groups/{id}/add",
            "Add users to a group, where they stay until they are removed; all or none",
            groups.add,
            method="post",
            body=shapes.Members,
            shape=shapes.UserGroup,
            parameters=(_ID,),
        ),
        changing(
            "/groups/{id}/remove",
            "Remove users from a group, all or none; those whom the identity provider puts into it"
            " are back when they next sign in",
            groups.remove,
            method="post",
            body=shapes.Members,
            shape=shapes.UserGroup,
            parameters=(_ID,),
        ),
    )
