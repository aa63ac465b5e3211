"""Tool injection stage: offers the caller's MCP tools to the model beside the client's own."""

from typing import NamedTuple
from weakref import WeakKeyDictionary

from aiohttp import web
from loguru import logger

from aibridged.mcp.tools import Tool, Toolbox
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.tool_loop.loop import ToolLoop
from aibridged.wire.injection.inject import (
    MAX_TOOLS,
    Injection,
    candidate,
    is_background,
    open_dialogue,
)
from aibridged.wire.injection.offer import Offer
from aibridged.wire.splice import Fields, UnsplittableError


def stage(components: Components, handler: Handler) -> Handler | None:
    if not components.settings.mcp_servers:
        return None
    offers, continuations = _Offers(), components.continuations

    async def tools(context: RequestContext) -> web.StreamResponse:
        api, interception = context.route.api, context.interception
        if api is None or api not in MAX_TOOLS or interception is None:
            return await handler(context)
        try:
            came = fields = Fields(context.plain, context.members)
        except UnsplittableError:
            return await handler(context)
        fields = await continuations.applied(context, fields)
        offered = await offers.put_into(context, fields)
        if offered is not None:
            fields = offered.injection.request
        if fields is not came:
            context.change(fields)
        if offered is None:
            return await handler(context)
        dialogue = open_dialogue(
            api, fields, offered.injection.names, withhold_usage=context.asks_for_usage
        )
        interception.injected = offered.tools
        return await ToolLoop(context, components, interception, offered.toolbox, dialogue).run()

    return tools


class _Known(NamedTuple):
    """A toolbox's tools, as they were encoded, and by the names that the model knows."""

    tools: tuple[Tool, ...]
    offer: Offer
    by_name: dict[str, Tool]


class _Offered(NamedTuple):
    """A request with injected tools, the toolbox that runs them, and what is known of it."""

    injection: Injection
    toolbox: Toolbox
    known: _Known

    @property
    def tools(self) -> dict[str, Tool]:
        """The tools, by the names that the model knows."""
        names, by_name = self.injection.names, self.known.by_name
        if names is self.known.offer.names:
            return by_name
        return {name: tool for name, tool in by_name.items() if name in names}


class _Offers:
    """The encoded tools of each toolbox. A toolbox's tools may change, but hardly ever do."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Toolbox, _Known] = WeakKeyDictionary()
        self._warned: WeakKeyDictionary[Toolbox, tuple[str, ...]] = WeakKeyDictionary()

    async def put_into(self, context: RequestContext, fields: Fields) -> _Offered | None:
        """None for a request that may not have tools, and for a caller who has none."""
        api, bridge, interception = context.route.api, context.bridge, context.interception
        if api is None or bridge is None or interception is None:
            return None
        model, purpose = context.facts.model, context.facts.purpose
        if purpose is not None or is_background(interception.start.client, model):
            return None
        found = candidate(api, model, fields)
        toolbox = await bridge.toolbox() if found is not None else None
        if found is None or toolbox is None:
            return None
        known = self._of(toolbox)
        injection = found.inject(known.offer)
        if injection is None:
            return None
        self._warn(toolbox, injection.over_limit)
        return _Offered(injection, toolbox, known)

    def _of(self, toolbox: Toolbox) -> _Known:
        tools = tuple(toolbox.tools)
        known = self._known.get(toolbox)
        if known is None or known.tools != tools:
            known = _Known(tools, Offer(tools), {tool.name: tool for tool in tools})
            self._known[toolbox] = known
        return known

    def _warn(self, toolbox: Toolbox, left_out: tuple[str, ...]) -> None:
        """Warn about tools that don't fit, once per list of tools."""
        if left_out and self._warned.get(toolbox) != left_out:
            self._warned[toolbox] = left_out
            logger.warning(
                "The maximum number of tools per request is reached; left out: {}",
                ", ".join(left_out),
            )
