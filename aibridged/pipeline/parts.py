"""What the stages are made from. `app.py` makes it; nothing else constructs a part."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from aibridged.bridge_pool import BridgePool
from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.config.reloading import ReloadStats
from aibridged.core.breaker import Breakers
from aibridged.core.byte_budget import ByteBudget
from aibridged.core.concurrency import Slots
from aibridged.core.rate_limit import RateLimiter
from aibridged.core.room import Room
from aibridged.descriptors import Shortages
from aibridged.identity.base import Actor
from aibridged.identity.gate import Gate
from aibridged.observe.finished import Finished
from aibridged.observe.metrics import Metrics
from aibridged.pipeline.bridge import Bridge
from aibridged.pipeline.continuations import Continuations
from aibridged.pipeline.dump import Dumper
from aibridged.pipeline.in_flight import InFlight, Requests
from aibridged.pipeline.request import GatewayRequest
from aibridged.pipeline.trace import Traces
from aibridged.pipeline.upstream import Upstream
from aibridged.providers import Provider
from aibridged.time_slices import TimeSlices, Turns

ApiHandler = Callable[[GatewayRequest, Actor, str, str], Awaitable[web.StreamResponse]]
"""Answers a caller's question about the record, given the path below the prefix and the query."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One configuration's parts: a reload makes others, which share what it leaves as it was.

    `upstreams` holds the connections to each provider, by name; what is None is switched off.
    `requests` are those that began with these parts, `in_flight` are all.
    `ca_certificate` is what clients of the AI Proxy have to trust, as PEM.
    `api_roots` are the first segments of what `api` answers below the gateway's own prefixes.
    `on_finished` are told of every request that has ended.
    """

    settings: Settings
    clock: Clock
    providers: Mapping[str, Provider]
    upstreams: Mapping[str, Upstream]
    gate: Gate
    in_flight: InFlight
    requests: Requests
    slots: Slots
    room: Room
    shortages: Shortages
    body_budget: ByteBudget
    slices: TimeSlices
    rate_limiter: RateLimiter | None
    breakers: Breakers | None
    bridges: BridgePool[Bridge]
    continuations: Continuations
    turns: Turns
    dumper: Dumper | None
    traces: Traces | None
    metrics: Metrics | None
    on_finished: Sequence[Callable[[Finished], None]]
    reloads: ReloadStats
    ca_certificate: bytes | None
    api: ApiHandler
    api_roots: frozenset[str]
