"""A worker's share of what the settings allow the daemon as a whole."""

from dataclasses import replace

from aibridged.config.options import Settings


def share_of(settings: Settings, workers: int) -> Settings:
    """The settings of one of so many workers, whose sums are those of the whole, or just above.

    The limits that workers share in memory stay as they are, and so does what is remembered: any of
    them may need it.
    """
    return replace(
        settings,
        max_idle_connections=_share(settings.max_idle_connections, workers),
        max_idle_connections_per_address=_share(settings.max_idle_connections_per_address, workers),
        pool_max_items=_share(settings.pool_max_items, workers),
    )


def _share(whole: int, workers: int) -> int:
    return -(-whole // workers)
