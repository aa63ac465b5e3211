"""What the daemon logs once it listens: its addresses, and the first steps at the first start."""

import asyncio
import sys

from loguru import logger

from aibridged import __version__
from aibridged.config import report
from aibridged.config.options import longest_lifetime
from aibridged.config.providers import OWN_KEY_ONLY
from aibridged.daemon.ai_proxy import announce_proxy
from aibridged.daemon.client_limits import log_connection_limit
from aibridged.daemon.gateway import Gateway
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.first_run import first_run
from aibridged.observe.log_outputs import show


async def announce(gateway: Gateway) -> None:
    """Log where it listens and where records are kept, and show the first steps."""
    _announce(gateway)
    logger.info("Records are stored in {}", gateway.records)
    for name in gateway.unused_sockets:
        logger.warning(
            "A socket was passed for {}, which is disabled: connections to it are not served", name
        )
    await _introduce(gateway)


async def _introduce(gateway: Gateway) -> None:
    try:
        text = await introduction(gateway, terminal=sys.stderr.isatty())
    except AuthUnavailableError as error:
        logger.warning("Failed to check whether there are users yet: {}", error)
        return
    if text is not None:
        show(f"{text}\n", sys.stderr)


async def introduction(gateway: Gateway, *, terminal: bool) -> str | None:
    """The text for the terminal at the first start, if it is one."""
    tokens, settings = gateway.tokens, gateway.settings
    if tokens is None:
        return None
    bases = {each.type: f"{gateway.url}/{each.name}" for each in reversed(settings.providers)}
    openai = bases.get("openai")
    return await asyncio.to_thread(
        first_run,
        tokens,
        terminal=terminal,
        anthropic_base_url=bases.get("anthropic"),
        openai_base_url=f"{openai}/v1" if openai else None,
        lifetime=longest_lifetime(settings),
        can_sign_up=bool(settings.oidc_issuer_url) and settings.oidc_allow_signups,
        page_url=next(iter(gateway.page_urls), None),
    )


def _announce(gateway: Gateway) -> None:
    settings, urls = gateway.settings, gateway.urls
    # Clients of the others have no base URL to set: they use the AI Proxy.
    providers = [each for each in settings.providers if each.type not in OWN_KEY_ONLY]
    prefixes = {each.name: each.prefix for each in gateway.components.providers.values()}
    routes = ", ".join(f"{gateway.url}/{each.name}{prefixes[each.name]}" for each in providers)
    where = " and ".join(urls) + (f"; point clients at {routes}" if routes else "")
    logger.info("aibridged {} listens on {}", __version__, where)
    if gateway.is_activated:
        logger.info("Using the passed sockets: --http-address {} is ignored", settings.http_address)
    for url in gateway.page_urls[:1]:
        logger.info("The web page is at {}", url)
    for way in report.ways(settings):
        logger.info("Outgoing requests go {}", way)
    log_connection_limit(gateway.components.connection_limiter, gateway.workers)
    if gateway.metrics_urls:
        logger.info("Metrics are served at {}", " and ".join(gateway.metrics_urls))
    if gateway.proxy is not None:
        announce_proxy(gateway.proxy)
    for provider in providers:
        if provider.key is None:
            logger.warning(
                "Provider {} has no key: only users with their own key (BYOK) can use it. Set {}",
                provider.name,
                provider.key_setting,
            )
