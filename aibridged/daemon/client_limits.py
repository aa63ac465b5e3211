"""Applies settings and system limits to the client connection limits."""

from loguru import logger

from aibridged.config.options import Settings
from aibridged.core.connection_limiter import ConnectionLimiter, requests_that_fit
from aibridged.counted import counted
from aibridged.observe import descriptors


def limit_idle(limiter: ConnectionLimiter, settings: Settings) -> None:
    """Apply the settings' limits of idle connections."""
    limiter.limit_idle(
        settings.max_idle_connections,
        settings.max_idle_connections_per_address,
        settings.proxy_trusted_origins,
    )


def fit(limiter: ConnectionLimiter, settings: Settings) -> None:
    """Set the number of places to the descriptors left, once everything permanent is open."""
    limiter.places, limiter.surplus = requests_that_fit(descriptors.limit(), descriptors.in_use())
    limit_idle(limiter, settings)


def log_connection_limit(limiter: ConnectionLimiter, workers: int = 1) -> None:
    """Log how many concurrent requests are possible, in each of so many workers."""
    logger.info(
        "The limit of {} file descriptors allows {}{}",
        descriptors.limit(),
        counted(limiter.places, "concurrent request"),
        " in each worker" if workers > 1 else "",
    )
