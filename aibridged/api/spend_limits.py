"""HTTP API of spend limits, for administrators, in the shape of Anthropic's Admin API."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web
from loguru import logger

from aibridged.api import spend_limit_shapes as shapes
from aibridged.api.budget_standings import effective, with_spending
from aibridged.api.filters import MAX_ROW
from aibridged.api.openapi import Parameter
from aibridged.api.query_runner import QueryRunner
from aibridged.api.spend_limit_requests import (
    DEFAULT_PAGE,
    MAX_PAGE,
    MAX_SKIPPED,
    Change,
    Parameters,
    read_change,
    wrong,
)
from aibridged.clock import Clock
from aibridged.core.budgets import Period, Scope
from aibridged.core.rate_limit import RateLimiter
from aibridged.errors import (
    ADMIN_REQUIRED,
    METHOD_NOT_ALLOWED,
    QUERY_FAILED,
    ROUTE_NOT_SUPPORTED,
    SPEND_LIMIT_NOT_FOUND,
    GatewayError,
)
from aibridged.identity.audit import AuditFilter, entries
from aibridged.identity.base import Actor
from aibridged.identity.spend_limits import (
    NoSuchLimitError,
    SpendLimitStore,
    StoredLimit,
    limit_with,
    stored_limits,
)
from aibridged.identity.spenders import Spender, spenders
from aibridged.identity.tables import StoreUnavailableError
from aibridged.identity.users import IdentityError
from aibridged.records.cancel_scope import QueryFailedError, QueryTimeoutError
from aibridged.records.query import Query
from aibridged.transport.body import small_body

ROOT = "/v1/organizations/spend_limits"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""All: each path refuses those that it doesn't take."""
MAX_BODY = 16 * 1024
READ_TIMEOUT_S = 10.0
"""For a whole body."""
ANSWER_S = 60.0

_JSON = "application/json"
_READ = ("GET", "HEAD")
_encode = msgspec.json.Encoder().encode


class Question(msgspec.Struct, frozen=True):
    """A parsed request: `id` is that of a limit, `body` the JSON of a POST."""

    parameters: Parameters
    id: str
    change: Change | None
    clock: Clock
    store: SpendLimitStore
    changed: Callable[[], None]


class Route(msgspec.Struct, frozen=True):
    """A method and a path, with `{id}` for one segment; `answer` blocks. See `api.routes.Route`."""

    path: str
    summary: str
    answer: Callable[[Query, Question], Any]
    shape: Any
    parameters: tuple[Parameter, ...] = ()
    method: str = "get"
    body: Any = None
    for_admins: bool = True
    at_root: bool = True
    content_type: str = _JSON


class SpendLimitApi:
    """Serves spend limits to administrators.

    `make_store` has the store in the name of an actor. `on_change` is called after each change, by
    a thread: it may block, and may raise StoreUnavailableError, which changes nothing.
    """

    def __init__(
        self,
        query: Query,
        clock: Clock,
        make_store: Callable[[str], SpendLimitStore],
        on_change: Callable[[], None],
        limiter: RateLimiter | None = None,
    ) -> None:
        self._clock = clock
        self._queries = QueryRunner(query, clock, limiter)
        self._make_store = make_store
        self._on_change = on_change

    def close(self) -> None:
        """Refuse new queries."""
        self._queries.close()

    async def __call__(
        self, request: web.BaseRequest, actor: Actor | None, raw_query: str, _address: bytes
    ) -> web.StreamResponse:
        """The response, as local routes are served.

        Raises:
            GatewayError: it is for admins, there is no such resource, the request is malformed,
                the caller is over their limits, or the database is unavailable.
        """
        if actor is None or not actor.is_admin:
            raise _not_allowed()
        route, id = _find(request.method, request.rel_url.raw_path)
        body = b""
        if route.body is not None:
            body = await small_body(request, MAX_BODY, READ_TIMEOUT_S)
        answer = await self._answered(actor, route, id, raw_query, body)
        return web.Response(body=answer, content_type=_JSON)

    async def ask(
        self, actor: Actor, method: str, path: str, raw_query: str, body: bytes = b""
    ) -> bytes:
        """The same within this process."""
        if not actor.is_admin:
            raise _not_allowed()
        route, id = _find(method, path)
        return await self._answered(actor, route, id, raw_query, body)

    async def _answered(
        self, actor: Actor, route: Route, id: str, raw_query: str, body: bytes
    ) -> bytes:
        question = Question(
            Parameters(raw_query),
            id,
            read_change(body) if route.body is not None else None,
            self._clock,
            self._make_store(actor.username),
            self._changed,
        )
        try:
            return await self._ask(actor, route, question)
        except NoSuchLimitError as error:
            raise GatewayError(SPEND_LIMIT_NOT_FOUND, str(error)) from None
        except IdentityError as error:
            raise wrong(str(error)) from None
        except QueryTimeoutError as error:
            raise GatewayError(QUERY_FAILED, str(error)) from None
        except (QueryFailedError, StoreUnavailableError) as error:
            logger.error("Spend limits can't be read or changed: {}", error)
            raise GatewayError(QUERY_FAILED, retry_after=1) from None
        except TimeoutError:
            raise GatewayError(QUERY_FAILED, retry_after=1) from None

    def _changed(self) -> None:
        with suppress(StoreUnavailableError):
            self._on_change()

    async def _ask(self, actor: Actor, route: Route, question: Question) -> bytes:
        make = partial(_answer, route, question)
        pieces = []
        async with asyncio.timeout(ANSWER_S), self._queries.ask(actor.id, make) as channel:
            while (piece := await channel.read()) is not None:
                pieces.append(piece)
        return b"".join(pieces)


def _not_allowed() -> GatewayError:
    return GatewayError(ADMIN_REQUIRED, "Only administrators may see and change spend limits.")


def _answer(route: Route, question: Question, query: Query) -> Generator[bytes]:
    yield _encode(route.answer(query, question))


def _find(method: str, path: str) -> tuple[Route, str]:
    """The route of a request, and the id in its path."""
    leaf = path.removeprefix(ROOT)
    id = unquote(leaf[1:]) if leaf.startswith("/spl_") else ""
    pattern = f"{ROOT}/{{id}}" if id else path
    there = [route for route in ROUTES if route.path == pattern]
    if not there:
        raise GatewayError(ROUTE_NOT_SUPPORTED)
    for route in there:
        if method == route.method.upper() or (method == "HEAD" and route.method == "get"):
            return route, id
    methods = {name for route in there for name in _methods(route)}
    allowed = ", ".join(sorted(methods))
    raise GatewayError(METHOD_NOT_ALLOWED, f"Use {allowed} for this path.", allow=allowed)


def _methods(route: Route) -> Sequence[str]:
    return _READ if route.method == "get" else (route.method.upper(),)


def _set(_query: Query, question: Question) -> shapes.SpendLimit:
    assert question.change is not None, "the route has a body"
    made = question.store.set(*question.change)
    question.changed()
    return shapes.spend_limit(made)


def _delete(_query: Query, question: Question) -> shapes.SpendLimitDeleted:
    gone = question.store.delete(question.id)
    question.changed()
    return shapes.SpendLimitDeleted(gone.id)


def _get(query: Query, question: Question) -> shapes.SpendLimit:
    with query.reading() as connection:
        limit = limit_with(connection, question.id)
    if limit is None:
        raise NoSuchLimitError("There is no spend limit with this id.")
    return shapes.spend_limit(limit)


def _list(query: Query, question: Question) -> shapes.SpendLimits:
    asked = question.parameters
    size, scopes = asked.page_size(), asked.words("scope_type", Scope)
    with query.reading() as connection:
        found = stored_limits(connection)
    if scopes:
        found = [limit for limit in found if limit.scope in scopes]
    page, has_more = _page(found, size, asked.text("after_id"), asked.text("before_id"))
    return shapes.SpendLimits(
        data=[shapes.spend_limit(each) for each in page],
        has_more=has_more,
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
    )


def _page(
    found: Sequence[StoredLimit], size: int, after_id: str | None, before_id: str | None
) -> tuple[Sequence[StoredLimit], bool]:
    """A page, and whether there are more in its direction."""
    if after_id and before_id:
        raise wrong("after_id and before_id are mutually exclusive: remove one.")
    position = {limit.id: number for number, limit in enumerate(found)}
    cursor = after_id or before_id
    if cursor is not None and cursor not in position:
        raise wrong("There is no spend limit with the id of the cursor: begin with the first page.")
    if before_id:
        end = position[before_id]
        begin = max(0, end - size)
        return found[begin:end], begin > 0
    begin = position[after_id] + 1 if after_id else 0
    return found[begin : begin + size], begin + size < len(found)


def _effective(query: Query, question: Question) -> shapes.EffectiveLimits:
    asked = question.parameters
    size, skipped = asked.page_size(), asked.number("page", 0, MAX_SKIPPED, 0)
    periods = asked.words("period", Period) or [*Period]
    sort = asked.text("sort")
    if sort not in (None, "spend_desc"):
        raise wrong("sort is spend_desc, or isn't given.")
    ids, words = asked.all("user_ids"), (asked.text("q") or "").casefold()
    with query.reading() as connection:
        at = question.clock.wall()
        people = spenders(connection, ids) if ids else with_spending(connection, at)
        people = [each for each in people if _matches(each, words)]
        rows = effective(connection, at, people, [each for each in Period if each in periods])
    if sort is not None:
        rows.sort(key=lambda own: own.spent.spent_nanos, reverse=True)
    following = skipped + size
    return shapes.EffectiveLimits(
        data=[shapes.effective(own) for own in rows[skipped:following]],
        next_page=str(following) if following < len(rows) else None,
    )


def _matches(person: Spender, words: str) -> bool:
    texts = (person.username, person.name, person.email or "", person.id)
    return any(words in text.casefold() for text in texts)


def _audit(query: Query, question: Question) -> shapes.AuditEvents:
    asked = question.parameters
    size = asked.page_size()
    after = asked.number("after_id", 0, MAX_ROW, 0)
    wanted = AuditFilter(action="spend_limit", limit=size + 1, after_id=after or None)
    with query.reading() as connection:
        found = list(entries(connection, wanted))
    page = [shapes.audit_event(entry) for entry in found[:size]]
    return shapes.AuditEvents(
        data=page,
        has_more=len(found) > size,
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
    )


_LIMIT = Parameter(
    "limit", f"Maximum page size, {DEFAULT_PAGE} by default.", minimum=1, maximum=MAX_PAGE
)
_ID = Parameter("id", "The id of a spend limit: spl_….", where="path")
_AFTER = Parameter("after_id", "Cursor of the next page: the last_id of this one.")

ROUTES = (
    Route(
        ROOT,
        "Set what a scope may spend in a period: makes the limit, or replaces its amount",
        _set,
        shapes.SpendLimit,
        method="post",
        body=shapes.Wanted,
    ),
    Route(
        ROOT,
        "List spend limits, the latest made first",
        _list,
        shapes.SpendLimits,
        (
            _LIMIT,
            _AFTER,
            Parameter("before_id", "Cursor of the page before: the first_id of this one."),
            Parameter("scope_type", f"Only limits of this scope: {', '.join(Scope)}."),
        ),
    ),
    Route(f"{ROOT}/{{id}}", "Get a spend limit", _get, shapes.SpendLimit, (_ID,)),
    Route(
        f"{ROOT}/{{id}}",
        "Delete a spend limit",
        _delete,
        shapes.SpendLimitDeleted,
        (_ID,),
        method="delete",
    ),
    Route(
        f"{ROOT}/effective",
        "List what counts for each person in each period, and what they have spent in it",
        _effective,
        shapes.EffectiveLimits,
        (
            Parameter("user_ids[]", "Only these people, by their ids; repeated for several."),
            Parameter("period[]", f"Only this period: {', '.join(Period)}; repeated for several."),
            Parameter("sort", "spend_desc: those who have spent most first."),
            Parameter("q", "Part of a username, name, e-mail address or id."),
            _LIMIT,
            Parameter(
                "page", "Cursor of the next page: next_page.", minimum=0, maximum=MAX_SKIPPED
            ),
        ),
    ),
    Route(
        f"{ROOT}/audit",
        "List who changed which spend limit, newest first",
        _audit,
        shapes.AuditEvents,
        (_LIMIT, _AFTER),
    ),
)
