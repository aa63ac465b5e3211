"""Cross-field validation of the settings: errors and warnings."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import combinations
from urllib.parse import urlsplit

from aibridged.config import (
    check_ai_proxy,
    check_base_urls,
    check_sign_in,
    check_state_dir,
    check_web_page,
    extras,
    policies,
)
from aibridged.config.declare import Group
from aibridged.config.kinds import is_loopback
from aibridged.config.mcp_servers import sends_in_the_clear, without_query
from aibridged.config.options import OPTIONS, ProviderSettings, Settings
from aibridged.config.providers import OWN_KEY_ONLY
from aibridged.config.resolution import Mistake
from aibridged.config.sources import Given
from aibridged.config.telemetry import sends_in_the_clear as telemetry_in_the_clear
from aibridged.config.tls_files import Where, check_pair
from aibridged.counted import noun


def mistakes(
    settings: Settings, given: Mapping[str, Given], only: Collection[str] | None = None
) -> Iterator[Mistake]:
    """Everything that keeps the daemon from serving with these settings.

    With `only` it is what keeps a command from using these, which are at most its database's.
    """

    def where(name: str) -> str:
        return given[name].where if name in given else _FLAGS[name]

    for check in _CHECKS if only is None else (check_state_dir.mistakes,):
        # What is given and can't be read has been told already.
        if (required := given.get(_REQUIRED.get(check, ""))) is None or not required.text:
            yield from check(settings, where)


def warnings(
    settings: Settings,
    given: Mapping[str, Given],
    listed: Iterable[ProviderSettings],
    *,
    in_container: bool = False,
    complete: bool = True,
) -> list[str]:
    """Settings that work, but are probably not intended; `listed` are the providers of the list.

    Unless they are `complete`, what seems to be missing may be among those with mistakes.
    """
    found = []
    for option in OPTIONS:
        if option.secret and option.name in given and given[option.name].source.kind == "flag":
            found.append(
                f"{given[option.name].where} exposes the key to everyone who can list processes; "
                f"use {option.env}_FILE or {option.env}."
            )
    if settings.proxy_trusted_headers and "proxy_trusted_origins" not in given:
        found.append(
            "--proxy-trusted-headers has no effect without --proxy-trusted-origins, "
            "which lists the proxies whose headers are trusted."
        )
    if settings.proxy_trusted_origins and "proxy_trusted_headers" not in given:
        found.append(
            "--proxy-trusted-origins has no effect without --proxy-trusted-headers, "
            "which names the headers that carry the client's address."
        )
    if settings.trace_logs and not settings.trace:
        found.append("--trace-logs has no effect without --trace.")
    if complete:
        found += _without_their_switch(settings, given)
        found += check_sign_in.warnings(settings, given)
    for provider in listed:
        if provider.type in OWN_KEY_ONLY and not settings.allow_byok:
            found.append(
                f"The provider {provider.name} is unusable: it requires users' own keys, which "
                "--aibridge-allow-byok=false forbids."
            )
    return [
        *found,
        *_in_the_clear(settings, in_container),
        *check_base_urls.warnings(settings.providers),
        *_mcp_warnings(settings),
        *policies.warnings(settings),
        *_telemetry_warnings(settings),
        *_webhook_warnings(settings),
        *_redis_warnings(settings),
        *check_web_page.warnings(settings),
        *check_ai_proxy.warnings(settings),
        *check_state_dir.warnings(settings),
    ]


def _without_their_switch(settings: Settings, given: Mapping[str, Given]) -> Iterator[str]:
    """Settings of a part of the daemon that is off, and wasn't switched off on purpose."""
    for switch, group, names in _SWITCHES:
        if getattr(settings, switch) or switch in given:
            continue
        idle = [
            given[option.name].where
            for option in OPTIONS
            if option.name in given and (option.group is group or option.name in names)
        ]
        if idle:
            have = noun(len(idle), "has", "have")
            yield f"{', '.join(idle)} {have} no effect without {_FLAGS[switch]}."


def _in_the_clear(settings: Settings, in_container: bool) -> Iterator[str]:
    """A reverse proxy that is named is taken to terminate TLS.

    All interfaces of a container are its own: where it is published, and what terminates TLS there,
    is said outside.
    """
    address = settings.http_address
    if in_container and _ANY.get(address.host, address.host) == "":
        return
    encrypted = settings.tls_cert_file is not None or settings.proxy_trusted_origins
    if settings.auth != "none" and not is_loopback(address.host) and not encrypted:
        yield (
            f"Clients on {address} send their tokens and prompts unencrypted: set --tls-cert-file "
            "and --tls-key-file, or listen on 127.0.0.1. Behind a reverse proxy with TLS, name its "
            "network in --proxy-trusted-origins and its header in --proxy-trusted-headers."
        )


def _mcp_warnings(settings: Settings) -> Iterator[str]:
    for server in settings.mcp_servers:
        if sends_in_the_clear(server):
            yield (
                f"The MCP server {server.id} uses plain HTTP: tool arguments, results and tokens "
                f"are sent unencrypted to {without_query(server.url)}."
            )
        if server.user_credentials != "none" and settings.auth != "token":
            yield (
                f"The MCP server {server.id} has user_credentials, which require "
                "--aibridge-auth token (see `aibridged users mcp-token`)."
            )


def _telemetry_warnings(settings: Settings) -> Iterator[str]:
    for destination in settings.telemetry:
        if telemetry_in_the_clear(destination):
            yield (
                f"The telemetry destination {destination.url} uses plain HTTP: what agents tell, "
                "with their users' names, is sent unencrypted."
            )


def _webhook_warnings(settings: Settings) -> Iterator[str]:
    if settings.budget_webhook_url is None:
        if settings.budget_webhook_secret is not None:
            yield "--aibridge-budget-webhook-secret has no effect without a webhook's URL."
        return
    url = urlsplit(settings.budget_webhook_url.reveal())
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield (
            f"Budget alerts are posted to {url.hostname} by plain HTTP: what people have spent is "
            "sent unencrypted, and so is the webhook's secret."
        )


def _redis_warnings(settings: Settings) -> Iterator[str]:
    if settings.redis_url is None:
        if settings.replicas > 1:
            yield "--aibridge-replicas has no effect without --aibridge-redis-url."
        return
    if settings.replicas == 1:
        yield (
            "--aibridge-redis-url is set and --aibridge-replicas is 1: while Redis is away, each "
            "replica goes on with the whole limits. Set it to the number of replicas."
        )
    url = urlsplit(settings.redis_url.reveal())
    if url.scheme == "redis" and url.password and not is_loopback(url.hostname or ""):
        yield (
            f"The password of Redis is sent unencrypted to {url.hostname}: use rediss://, or a "
            "network that nobody else can listen to."
        )


def _loopback_without_authentication(settings: Settings, where: Where) -> Iterator[Mistake]:
    """Without authentication, anyone who can reach the address can spend the organisation's key."""
    address = settings.http_address
    if settings.auth == "none" and not is_loopback(address.host):
        yield Mistake(
            where("http_address"),
            f"{address} is reachable from other machines, and authentication is disabled",
            f"Listen on 127.0.0.1:{address.port} or [::1]:{address.port}, "
            "or set --aibridge-auth to token.",
        )


def _coder_without_url(settings: Settings, where: Where) -> Iterator[Mistake]:
    if settings.auth == "coder" and settings.coder_url is None:
        yield Mistake(
            where("auth"), "--coder-url is missing", "Set it to the URL of the Coder deployment."
        )


def _tls_files(settings: Settings, where: Where) -> Iterator[Mistake]:
    return check_pair(settings, where, "tls_cert_file", "tls_key_file")


def _libraries(settings: Settings, where: Where) -> Iterator[Mistake]:
    needed = (
        ("mcp", bool(settings.mcp_servers), "mcp_servers"),
        ("tracing", settings.trace, where("trace")),
        ("postgres", settings.postgres_url is not None, where("postgres_url")),
        ("proxy", settings.proxy_enabled, where("proxy_enabled")),
        ("redis", settings.redis_url is not None, where("redis_url")),
        ("sign-in", bool(settings.oidc_issuer_url), where("oidc_issuer_url")),
        ("ui", settings.ui_enabled == "true", where("ui_enabled")),
        ("ui", settings.ui_address and settings.ui_enabled == "auto", where("ui_address")),
    )
    for extra, wanted, setting in needed:
        if wanted and (mistake := extras.mistake(extra, setting)) is not None:
            yield mistake


def _same_address(settings: Settings, where: Where) -> Iterator[Mistake]:
    """Two listeners can't have the same port, unless they are on different addresses."""
    listeners = [
        ("http_address", True),
        ("prometheus_address", settings.prometheus_enable),
        ("proxy_listen_addr", settings.proxy_enabled),
        ("ui_address", settings.ui_address is not None and settings.ui_enabled != "false"),
    ]
    names = [name for name, wanted in listeners if wanted]
    for first, second in combinations(names, 2):
        one, other = getattr(settings, first), getattr(settings, second)
        hosts = {_ANY.get(address.host, address.host) for address in (one, other)}
        if one.port == other.port != 0 and (len(hosts) == 1 or "" in hosts):
            yield Mistake(
                f"{where(first)} and {where(second)}",
                f"both listen on port {one.port}",
                "Give each a port of its own.",
            )


def _too_little_memory(settings: Settings, where: Where) -> Iterator[Mistake]:
    """The memory limit must allow the largest body."""
    most = settings.max_inflight_bytes
    if most is not None and most < settings.max_request_bytes:
        yield Mistake(
            where("max_inflight_bytes"),
            f"{most} bytes are less than the maximum request size of {settings.max_request_bytes}",
            "Raise it, or lower --aibridge-max-request-bytes.",
        )


_FLAGS = {option.name: option.flag for option in OPTIONS}
# What switches a part on, and the settings that are for that part only. The AI Proxy's may be for
# `aibridged proxy`, in the same file.
_SWITCHES: tuple[tuple[str, Group | None, tuple[str, ...]], ...] = (
    ("circuit_breaker_enabled", Group.BREAKER, ()),
    ("prometheus_enable", None, ("prometheus_address", "prometheus_initiator_labels")),
)
# Addresses that mean every interface.
_ANY = {"0.0.0.0": "", "::": ""}

_Check = Callable[[Settings, Where], Iterator[Mistake]]
_CHECKS: tuple[_Check, ...] = (
    _same_address,
    _loopback_without_authentication,
    check_web_page.mistakes,
    _coder_without_url,
    _tls_files,
    check_ai_proxy.mistakes,
    check_sign_in.mistakes,
    check_sign_in.without_access_url,
    _too_little_memory,
    _libraries,
    check_state_dir.mistakes,
)
# Checks that a setting is there.
_REQUIRED: Mapping[_Check, str] = {
    _coder_without_url: "coder_url",
    check_sign_in.without_access_url: "access_url",
}
