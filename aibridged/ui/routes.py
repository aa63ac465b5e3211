"""All pages: who may see which, and how a request becomes a visit and an answer a response."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from loguru import logger

from aibridged.api import spend_limits
from aibridged.api.handler import Api
from aibridged.api.routes import Events, names_in
from aibridged.api.spend_limits import SpendLimitApi
from aibridged.clock import Clock
from aibridged.errors import (
    ADMIN_REQUIRED,
    INTERNAL_ERROR,
    METHOD_NOT_ALLOWED,
    ORIGIN_REFUSED,
    ROUTE_NOT_SUPPORTED,
    GatewayError,
)
from aibridged.identity.base import Actor
from aibridged.sign_in.forms import fields, read_form
from aibridged.ui import entry as entrance
from aibridged.ui.admission import Admission
from aibridged.ui.entry import Entry
from aibridged.ui.navigation import LinkGroup, navigation
from aibridged.ui.page import Download, Html, Page, Redirect, Role, Visit
from aibridged.ui.render import Renderer, send_download, send_events
from aibridged.ui.session import Session, Sessions
from aibridged.ui.views import PAGES

_ASSETS = "/assets/"
S = TypeVar("S", bound=web.StreamResponse)

_READ = ("GET", "HEAD")
_METHODS = (*_READ, "POST")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in, by which session, which may have begun just now, and from where."""

    actor: Actor
    session: Session
    address: bytes
    is_new: bool = False


class Ui:
    """Serves everything below the path `root`, which browsers may have below another."""

    def __init__(
        self,
        root: str,
        api: Api,
        limits: SpendLimitApi,
        clock: Clock,
        sessions: Sessions,
        renderer: Renderer,
        entry: Entry,
        admission: Admission,
        pages: Sequence[Page] = PAGES,
    ) -> None:
        self._root = root
        self._api = api
        self._spend_limits = limits
        self._clock = clock
        self._admission = admission
        self._sessions = sessions
        self._renderer = renderer
        self._entry = entry
        self._pages = pages

    async def __call__(
        self, request: web.BaseRequest, _actor: Actor | None, raw_query: str, address: bytes
    ) -> web.StreamResponse:
        """The response, as local routes are served."""
        path = request.rel_url.raw_path.removeprefix(self._root) or "/"
        visitor: Visitor | None = None
        try:
            if request.method not in _METHODS:
                raise GatewayError(METHOD_NOT_ALLOWED, allow=", ".join(_METHODS))
            if path.startswith(_ASSETS):
                return self._asset(request, path.removeprefix(_ASSETS))
            if request.method == "POST":
                self._entry.check_origin(request)
            visitor = await self._visitor(request, address)
            return await self._served(request, visitor, path, raw_query, address)
        except GatewayError as error:
            if request.writer.output_size > 0:
                raise
            return self._error(error, visitor)
        except ConnectionError:
            raise
        except Exception:
            if request.writer.output_size > 0:
                raise
            logger.exception("A page failed")
            return self._error(GatewayError(INTERNAL_ERROR), visitor)

    async def _visitor(self, request: web.BaseRequest, address: bytes) -> Visitor | None:
        known = self._sessions.open(request.cookies)
        session = known or self._entry.admitted()
        if session is None:
            return None
        actor = await self._entry.actor(session, address)
        return None if actor is None else Visitor(actor, session, address, known is None)

    async def _served(
        self,
        request: web.BaseRequest,
        visitor: Visitor | None,
        path: str,
        raw_query: str,
        address: bytes,
    ) -> web.StreamResponse:
        who = b"address " + address if visitor is None else b"actor " + visitor.actor.id.encode()
        # A slow client's form takes no place of others.
        form = await read_form(request) if request.method == "POST" else {}
        async with self._admission.place(who):
            if path in entrance.PATHS:
                session = visitor.session if visitor is not None else None
                return await self._entry.serve(request, path, form, session, raw_query, address)
            if visitor is None:
                return self._entry.ask(path, raw_query, request.method)
            page, visit = self._visit(request.method, visitor, path, form, raw_query)
            view = page.post if request.method == "POST" else page.view
            assert view is not None, "there is one for the method"
            answer = await view(visit)
            if isinstance(answer, Html):
                response = await self._renderer.page(
                    answer.template,
                    self._values(visitor, answer, page.title, visit),
                    status=answer.status,
                    groups=self._groups(visitor, page),
                    visitor=visitor.actor.id,
                )
                return self._keep(response, visitor)
            if isinstance(answer, Redirect):
                return self._keep(self._renderer.redirect(answer.path), visitor, answer.said)
        return await self._sent(request, visitor, answer)

    def _visit(
        self, method: str, visitor: Visitor, path: str, sent: Mapping[str, str], raw_query: str
    ) -> tuple[Page, Visit]:
        page, names = self._find(path)
        actor = visitor.actor
        if page.role is Role.ADMIN and not actor.is_admin:
            raise GatewayError(ADMIN_REQUIRED)
        form = {**sent}
        if method == "POST":
            if page.post is None:
                raise GatewayError(METHOD_NOT_ALLOWED, allow=", ".join(_READ))
            if page.admin_only_post and not actor.is_admin:
                raise GatewayError(ADMIN_REQUIRED)
            if not self._sessions.is_csrf(visitor.session, form.pop("csrf", "")):
                raise GatewayError(ORIGIN_REFUSED, "This form is out of date: reload the page.")
        visit = Visit(
            actor=actor,
            path=path,
            names=names,
            query=fields(raw_query),
            form=form,
            now=self._clock.wall(),
            csrf=self._sessions.csrf(visitor.session),
            ask=_Asking(self._api, self._spend_limits, actor),
            pieces=lambda path, **parameters: self._api.pieces(actor, path, parameters),
        )
        return page, visit

    def _find(self, path: str) -> tuple[Page, Mapping[str, str]]:
        segments = path.split("/")
        best: tuple[Page, Mapping[str, str]] | None = None
        for page in self._pages:
            names = names_in(page.path.split("/"), segments)
            if names is not None and (best is None or len(names) < len(best[1])):
                best = page, names
        if best is None:
            raise GatewayError(ROUTE_NOT_SUPPORTED, "There is no such page.")
        return best

    async def _sent(
        self, request: web.BaseRequest, visitor: Visitor, answer: Download | Events
    ) -> web.StreamResponse:
        if isinstance(answer, Download):
            return await send_download(request, answer)

        def keep(response: web.StreamResponse) -> None:
            self._keep(response, visitor)  # a page that stays open keeps its session from idling

        async def is_still_in() -> bool:
            actor = await self._entry.actor(visitor.session, visitor.address)
            is_same = actor is not None and actor.is_admin == visitor.actor.is_admin
            return is_same and not self._sessions.is_over(visitor.session)

        events = answer.while_allowed(is_still_in, self._clock.monotonic)
        return await send_events(request, events, keep)

    def _values(
        self, visitor: Visitor, answer: Html, title: str, visit: Visit | None
    ) -> Mapping[str, Any]:
        return {
            "actor": visitor.actor,
            "can_sign_out": self._entry.can_sign_out,
            "csrf": self._sessions.csrf(visitor.session),
            "said": visitor.session.said,
            "title": title,
            "visit": visit,
            **answer.values,
        }

    def _groups(self, visitor: Visitor, page: Page | None) -> Sequence[LinkGroup]:
        return navigation(
            self._pages,
            is_admin=visitor.actor.is_admin,
            has_users=self._entry.has_users,
            here=page,
        )

    def _keep(self, response: S, visitor: Visitor, said: str = "") -> S:
        value = self._sessions.continued(visitor.session, said, is_new=visitor.is_new)
        if value is not None:
            self._entry.set_cookie(response, value)
        return response

    def _error(self, error: GatewayError, visitor: Visitor | None) -> web.Response:
        status, message = error.kind.status, error.message
        if visitor is None:
            response = self._entry.problem(message, status)
        else:
            values = {"status": status, "message": message, "retry_after": error.retry_after}
            answer = Html("error.html", values, status)
            response = self._renderer.html(
                answer.template,
                self._values(visitor, answer, _TITLES.get(status, _FAILED), None),
                status=status,
                groups=self._groups(visitor, None),
            )
            self._keep(response, visitor)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        if error.allow is not None:
            response.headers["Allow"] = error.allow
        return response

    def _asset(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if request.method not in _READ:
            raise GatewayError(METHOD_NOT_ALLOWED, allow=", ".join(_READ))
        digest, _, name = path.partition("/")
        found = self._renderer.assets.find(digest, name)
        if found is None:
            raise GatewayError(ROUTE_NOT_SUPPORTED)
        return self._renderer.asset(found)


_FAILED = "This didn't work"
_TITLES = {
    403: "Not for you",
    404: "Not found",
    405: "Not possible here",
    429: "Too many requests",
    503: "Not available at the moment",
}


class _Asking:
    """Asks the APIs in the name of an actor: that of spend limits by its whole path."""

    def __init__(self, api: Api, limits: SpendLimitApi, actor: Actor) -> None:
        self._api = api
        self._spend_limits = limits
        self._actor = actor

    async def __call__(
        self,
        path: str,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        **parameters: str,
    ) -> Any:
        if not path.startswith(spend_limits.ROOT):
            return await self._api.ask(self._actor, method, path, parameters, body)
        sent = b"" if body is None else msgspec.json.encode(body)
        answer = await self._spend_limits.ask(
            self._actor, method, path, urlencode(parameters), sent
        )
        return msgspec.json.decode(answer)
