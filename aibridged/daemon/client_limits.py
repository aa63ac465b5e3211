"""Applies settings and system limits to the client connection limits."""

from loguru import logger

from aibridged.config.options import Settings
from aibridged.core.connection_limiter import ConnectionLimiter, requests_that_fit
from aibridged.observe import descriptors


def limit_idle(limiter: ConnectionLimiter, settings: Settings) -> None:
    """Bound the idle connections as the settings say."""
    limiter.limit_idle(
        settings.max_idle_connections,
        settings.max_idle_connections_per_address,
        settings.proxy_trusted_origins,
    )


def fit(limiter: ConnectionLimiter, settings: Settings) -> None:
    """Make as many places as descriptors are left, once all that is always open is open."""
    limiter.places, limiter.surplus = requests_that_fit(descriptors.limit(), descriptors.in_use())
    limit_idle(limiter, settings)


def log_connection_limit(limiter: ConnectionLimiter) -> None:
    """Say how many requests fit."""
    logger.info(
        "The limit of {} file descriptors allows {} concurrent requests",
        descriptors.limit(),
        limiter.places,
    )
