"""All pages: who may see which, and how a request becomes a visit and an answer a response."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from loguru import logger

from aibridged.api import spend_limits
from aibridged.api.handler import Api
from aibridged.api.routes import names_in
from aibridged.api.spend_limits import SpendLimitApi
from aibridged.clock import Clock
from aibridged.core.origins import is_of_another_origin
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
from aibridged.ui.entry import SIGN_IN, SIGN_OUT, Entry
from aibridged.ui.page import Answer, Download, Events, Html, Page, Redirect, Role, Visit
from aibridged.ui.render import Link, Renderer, send_download, send_events
from aibridged.ui.session import Session, Sessions
from aibridged.ui.views import PAGES

_ASSETS = "/assets/"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in, and by which session."""

    actor: Actor
    session: Session


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
        pages: Sequence[Page] = PAGES,
    ) -> None:
        self._root = root
        self._api = api
        self._spend_limits = limits
        self._now = clock.wall
        self._sessions = sessions
        self._renderer = renderer
        self._entry = entry
        self._pages = pages

    async def __call__(
        self, request: web.BaseRequest, _actor: Actor | None, raw_query: str, address: bytes
    ) -> web.StreamResponse:
        """The response, as local routes are served."""
        path = request.rel_url.raw_path.removeprefix(self._root) or "/"
        if path.startswith(_ASSETS):
            return self._asset(path.removeprefix(_ASSETS))
        visitor: Visitor | None = None
        try:
            if request.method == "POST" and is_of_another_origin(request.headers):
                raise GatewayError(ORIGIN_REFUSED)
            visitor = await self._visitor(request, address)
            if path in (SIGN_IN, SIGN_OUT):
                session = visitor.session if visitor is not None else None
                return await self._entry.serve(request, path, session, raw_query, address)
            if visitor is None:
                return self._entry.ask(path, raw_query, request.method)
            return await self._page(request, visitor, path, raw_query)
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
        session = self._sessions.open(request.cookies)
        if session is None:
            session = self._entry.admitted()
        if session is None:
            return None
        actor = await self._entry.actor(session, address)
        return None if actor is None else Visitor(actor, session)

    async def _page(
        self, request: web.BaseRequest, visitor: Visitor, path: str, raw_query: str
    ) -> web.StreamResponse:
        page, names = self._find(path)
        actor = visitor.actor
        if page.role is Role.ADMIN and not actor.is_admin:
            raise GatewayError(ADMIN_REQUIRED)
        view, form = page.view, {}
        if request.method == "POST":
            if page.post is None:
                raise GatewayError(METHOD_NOT_ALLOWED, allow="GET, HEAD")
            if page.admin_only_post and not actor.is_admin:
                raise GatewayError(ADMIN_REQUIRED)
            form = {**await read_form(request)}
            if not self._sessions.is_csrf(visitor.session, form.pop("csrf", "")):
                raise GatewayError(ORIGIN_REFUSED, "This form is out of date: reload the page.")
            view = page.post
        visit = Visit(
            actor=actor,
            path=path,
            names=names,
            query=fields(raw_query),
            form=form,
            now=self._now(),
            csrf=self._sessions.csrf(visitor.session),
            ask=_Asking(self._api, self._spend_limits, actor),
            pieces=lambda path, **parameters: self._api.pieces(actor, path, parameters),
        )
        return await self._respond(request, visitor, visit, page, await view(visit))

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

    async def _respond(
        self,
        request: web.BaseRequest,
        visitor: Visitor,
        visit: Visit,
        page: Page,
        answer: Answer,
    ) -> web.StreamResponse:
        if isinstance(answer, Download):
            return await send_download(request, answer)
        if isinstance(answer, Events):
            return await send_events(request, answer.events)
        if isinstance(answer, Redirect):
            return self._keep(self._renderer.redirect(answer.path), visitor, answer.said)
        response = self._html(visitor, answer, page.title, page, visit)
        return self._keep(response, visitor)

    def _html(
        self, visitor: Visitor, answer: Html, title: str, page: Page | None, visit: Visit | None
    ) -> web.Response:
        values: dict[str, Any] = {
            "actor": visitor.actor,
            "can_sign_out": self._entry.can_sign_out,
            "csrf": self._sessions.csrf(visitor.session),
            "said": visitor.session.said,
            "title": title,
            "visit": visit,
            **answer.values,
        }
        return self._renderer.html(
            answer.template, values, status=answer.status, links=self._links(visitor.actor, page)
        )

    def _links(self, actor: Actor, here: Page | None) -> list[Link]:
        return [
            Link(page.path, page.nav, page.key, _is_within(here, page))
            for page in self._pages
            if page.nav and (page.role is not Role.ADMIN or actor.is_admin)
        ]

    def _keep(self, response: web.Response, visitor: Visitor, said: str = "") -> web.Response:
        value = self._sessions.continued(visitor.session, said)
        if value is not None:
            self._entry.set_cookie(response, value)
        return response

    def _error(self, error: GatewayError, visitor: Visitor | None) -> web.Response:
        status, message = error.kind.status, error.message
        if visitor is None:
            return self._entry.problem(message, status)
        answer = Html("error.html", {"status": status, "message": message}, status)
        response = self._html(visitor, answer, "This didn't work", None, None)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    def _asset(self, path: str) -> web.StreamResponse:
        digest, _, name = path.partition("/")
        found = self._renderer.assets.find(digest, name)
        if found is None:
            raise GatewayError(ROUTE_NOT_SUPPORTED)
        return self._renderer.asset(found)


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


def _is_within(here: Page | None, page: Page) -> bool:
    return here is not None and (here is page or here.path.startswith(f"{page.path}/"))
