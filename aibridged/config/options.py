"""THE table of settings: each is declared once, as a field of `Settings`.

The flags, the environment variables, the YAML keys, `--help`, the sample file, `check-config` and
the documentation are made from the rows in `rows`. To add a setting is to add a row.
"""

import re
from dataclasses import dataclass, field, fields, replace
from datetime import date
from decimal import Decimal
from typing import Literal

from aibridged.config.declare import Option
from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.config.proxy_url import ProxyUrl
from aibridged.config.rows.ai_proxy import AiProxyRows
from aibridged.config.rows.budgets import BudgetRows
from aibridged.config.rows.gateway import GatewayRows
from aibridged.config.rows.logging import LoggingRows
from aibridged.config.rows.people import PeopleRows
from aibridged.config.rows.server import ServerRows
from aibridged.config.rows.sign_in import SignInRows
from aibridged.config.rows.ui import UiRows
from aibridged.config.secret import Secret

ProviderType = Literal["anthropic", "openai", "copilot"]
TelemetrySignal = Literal["metrics", "logs", "traces"]
UserCredentials = Literal["none", "optional", "required"]
StreamOptions = Literal["auto", "always", "never"]
"""Whether a provider of Chat Completions is asked for the usage of streams: `auto` until it refuses
the field."""


@dataclass(frozen=True)
class ProviderSettings:
    """An upstream: its `name` is its route; `base_url` has no trailing slash.

    Without a key it serves callers with keys of their own, or is a local server that needs none. An
    idle connection is kept for `keepalive_timeout` seconds (None: the general setting). Requests
    go through `proxy` (None: directly). `key_setting` is where an operator sets its key.
    """

    type: ProviderType
    name: str
    key: Secret | None
    base_url: str
    keepalive_timeout: float | None = None
    stream_options: StreamOptions = "auto"
    proxy: ProxyUrl | None = None
    key_setting: str = field(default="its key", compare=False)


@dataclass(frozen=True)
class McpServerSettings:
    """A server of tools: its `id` is part of their names, `url` its streamable HTTP endpoint.

    Deny wins over allow; neither means all tools. The expressions are searched for in the server's
    names of the tools. `user_credentials` says whether a caller's own token takes the place of
    `token`: with `required` only callers who have one are offered the tools.
    """

    id: str
    url: str = field(repr=False)  # its query may contain a key
    token: Secret | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    tool_allow_regex: re.Pattern[str] | None = None
    tool_deny_regex: re.Pattern[str] | None = None
    user_credentials: UserCredentials = "none"
    proxy: ProxyUrl | None = None


@dataclass(frozen=True)
class SessionSettings:
    """When a session of an agent has run away, and whether it is ended then; None is unlimited.

    `max_cost` is in nano-dollars. `repeated_calls`, `compactions` and `tokens_per_minute` are the
    numbers at which the session counts as a loop.
    """

    ends: bool = False
    max_cost: int | None = None
    max_requests: int | None = None
    repeated_calls: int | None = 30
    compactions: int | None = 4
    tokens_per_minute: int | None = None


@dataclass(frozen=True)
class SoftBudgetSettings:
    """What is done at which share of a spend limit, in percent; None: nothing.

    From `switch_at` on a model that fits a glob of `models` is replaced by the model beside it; the
    first glob that fits counts.
    """

    warn_at: int | None = None
    switch_at: int | None = None
    models: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PolicySettings:
    """What the members of its groups may use; without `groups` it is for everybody.

    None restricts nothing, and an empty tuple grants nothing. `models` are globs; `rate_limit` is
    in requests per second. `claude_code` are managed settings: JSON with sorted keys and without
    blanks. `session` says when a session has run away, `budget` what is done before a spend limit
    is reached.
    """

    groups: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None
    allow_byok: bool = True
    rate_limit: int | None = None
    max_concurrency: int | None = None
    mcp_servers: tuple[str, ...] | None = None
    claude_code: str | None = None
    session: SessionSettings | None = None
    budget: SoftBudgetSettings | None = None


@dataclass(frozen=True)
class TelemetrySettings:
    """An OTLP receiver, to whose base URL `/v1/<signal>` is appended."""

    url: str
    headers: tuple[tuple[str, Secret], ...] = ()
    signals: tuple[TelemetrySignal, ...] = ("metrics", "logs", "traces")
    proxy: ProxyUrl | None = None


@dataclass(frozen=True)
class PriceSettings:
    """What models of a provider cost by contract; without `provider` or `model`, a glob, all do.

    Rates are dollars per million tokens, of `web_search` per thousand searches. One that is None
    is the table's, times `multiplier`, or in proportion to what it is part of: the cache's to
    `input`. It counts from the day of `start` on, in UTC.
    """

    provider: str | None = None
    model: str | None = None
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    web_search: Decimal | None = None
    multiplier: Decimal | None = None
    start: date | None = None


@dataclass(frozen=True)
# The fields of the last class come first.
class Settings(
    LoggingRows, AiProxyRows, UiRows, ServerRows, SignInRows, PeopleRows, BudgetRows, GatewayRows
):
    """The effective settings, read at the start and at each reload. Durations are in seconds."""

    providers: tuple[ProviderSettings, ...] = ()
    mcp_servers: tuple[McpServerSettings, ...] = ()
    policies: tuple[PolicySettings, ...] = ()
    telemetry: tuple[TelemetrySettings, ...] = ()
    prices: tuple[PriceSettings, ...] = ()
    outbound: OutboundProxies = field(default_factory=OutboundProxies)


def longest_lifetime(settings: Settings) -> float | None:
    """The maximum lifetime of a token in seconds; None for Coder's default of a hundred years."""
    longest = settings.max_token_lifetime
    return longest if longest < Settings().max_token_lifetime else None


def routed(settings: Settings, outbound: OutboundProxies) -> Settings:
    """The settings with these proxies, and by them the way to all other servers."""
    return replace(
        settings,
        outbound=outbound,
        providers=tuple(
            replace(each, proxy=outbound.for_url(each.base_url)) for each in settings.providers
        ),
        mcp_servers=tuple(
            replace(each, proxy=outbound.for_url(each.url)) for each in settings.mcp_servers
        ),
        telemetry=tuple(
            replace(each, proxy=outbound.for_url(each.url)) for each in settings.telemetry
        ),
    )


OPTIONS: tuple[Option, ...] = tuple(
    replace(row.metadata["option"], name=row.name)
    for row in fields(Settings)
    if "option" in row.metadata
)
