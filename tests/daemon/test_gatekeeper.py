import pytest

from aibridged.daemon.gatekeeper import lookups_at_once
from aibridged.identity import http_lookup, token_authenticator


@pytest.mark.parametrize(("workers", "each"), [(1, 32), (2, 16), (3, 10), (16, 2), (64, 2)])
def test_workers_share_the_lookups_that_are_asked_elsewhere(workers, each):
    assert http_lookup.LOOKUPS_AT_ONCE == 32
    assert lookups_at_once(workers, has_own_database=False) == each
    own = lookups_at_once(workers, has_own_database=True)
    assert own == token_authenticator.LOOKUPS_AT_ONCE
