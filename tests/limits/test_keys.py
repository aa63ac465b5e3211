import pytest

from aibridged.limits.keys import Keys, digest, lock_of
from aibridged.limits.region import KEY_SIZE, LOCKS, WAYS

KEY = bytes(range(KEY_SIZE))


@pytest.fixture
def keys(region):
    return Keys(region, region.layout.callers.keys)


def test_a_key_is_found_where_it_was_written(keys):
    assert keys.find(KEY) == -1
    places = keys.places(KEY)
    assert len(places) == WAYS
    for number in (places[0], places[-1]):
        keys.write(number, KEY)
        assert keys.find(KEY) == number
        assert keys.key(number) == KEY
        keys.write(number, digest(b"other"))
        assert keys.find(KEY) == -1


def test_a_key_that_is_half_written_is_none_of_both(keys, region):
    number = keys.places(KEY)[3]
    keys.write(number, KEY)
    at = keys.offset(number)
    region.bytes[at + 8 : at + KEY_SIZE] = bytes(8)
    assert keys.find(KEY) == -1


def test_keys_of_several_purposes_are_apart_and_spread_over_the_locks():
    assert digest(b"a", b"page") != digest(b"a", b"query") != digest(b"b", b"query")
    assert {lock_of(digest(b"%d" % number)) for number in range(1000)} == set(range(LOCKS))
