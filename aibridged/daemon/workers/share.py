"""A worker's share of what the settings allow the daemon as a whole."""

from dataclasses import replace

from aibridged.config.options import Settings
from aibridged.core.limiters import share


def share_of(settings: Settings, workers: int) -> Settings:
    """The settings of one of so many workers, whose sums are no more than the whole.

    The limits that workers share in memory stay as they are, and what is divided by them (see
    `core.limiters`).
    """
    return replace(
        settings,
        max_idle_connections=share(settings.max_idle_connections, workers),
        max_idle_connections_per_address=share(settings.max_idle_connections_per_address, workers),
        pool_max_items=share(settings.pool_max_items, workers),
    )
