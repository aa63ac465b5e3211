"""The spend limits in force are those in the database, a few seconds ago at the most."""

from functools import partial

import pytest

from aibridged.identity import tables
from aibridged.identity.limits_in_force import STALE_S, LimitsInForce
from aibridged.identity.spend_limits import read_limits
from aibridged.identity.tables import StoreUnavailableError
from tests.e2e.spend_limits import set_limit
from tests.waiting import until


@pytest.fixture
def limits(sqlite_database, clock):
    made = LimitsInForce(partial(read_limits, sqlite_database.engine), clock, interval=0.01)
    yield made
    made.close()


async def test_they_are_read_at_the_start_and_again_and_again(limits, sqlite_database, clock):
    set_limit(sqlite_database.engine, clock, 5)
    assert limits.are_stale
    limits.start()
    assert [each.cents for each in limits.current.limits] == [5]
    assert not limits.are_stale
    set_limit(sqlite_database.engine, clock, 7)
    await until(lambda: [each.cents for each in limits.current.limits] == [7])
    before = limits.current
    limits.read()
    assert limits.current is before  # with its answers, as long as nothing has changed


def test_what_has_been_changed_is_in_force_at_once(limits, sqlite_database, clock):
    set_limit(sqlite_database.engine, clock, 5)
    limits.read()
    assert limits.current.caps("u", (), None).caps[0].nanos == 5 * 10**7


async def test_they_are_old_when_they_cannot_be_read_for_a_minute(limits, sqlite_database, clock):
    set_limit(sqlite_database.engine, clock, 5)
    limits.start()
    sqlite_database.engine.dispose()
    with sqlite_database.engine.begin() as connection:
        tables.spend_limits.drop(connection)
    clock.advance(STALE_S)
    assert not limits.are_stale
    clock.advance(1)
    assert limits.are_stale
    assert limits.current.limits
    with sqlite_database.engine.begin() as connection:
        tables.spend_limits.create(connection)
    await until(lambda: not limits.are_stale)
    assert not limits.current.limits


def test_a_daemon_that_cannot_read_them_does_not_start(limits, sqlite_database):
    with sqlite_database.engine.begin() as connection:
        tables.spend_limits.drop(connection)
    with pytest.raises(StoreUnavailableError):
        limits.start()
