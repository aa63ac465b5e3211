"""A worker's share of what the settings allow."""

from aibridged.config.options import Settings
from aibridged.daemon.workers.share import share_of


def test_the_shares_add_up_to_no_more_than_the_whole() -> None:
    whole = Settings(
        max_idle_connections=4096, max_idle_connections_per_address=256, pool_max_items=5000
    )
    share = share_of(whole, 3)
    assert share.max_idle_connections == 1365
    assert share.max_idle_connections_per_address == 85
    assert share.pool_max_items == 1666
    assert share_of(whole, 1) == whole
    assert share.max_concurrency == whole.max_concurrency
