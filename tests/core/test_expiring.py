import pytest

from aibridged.core.expiring import Expiring


@pytest.fixture
def memory(clock):
    return Expiring(3, clock)


def test_each_value_has_an_end_of_its_own(memory, clock):
    memory.put(b"a", 1, 10)
    memory.put(b"b", 2, 20)
    clock.advance(9.9)
    assert dict(memory) == {b"a": 1, b"b": 2}
    clock.advance(0.1)
    assert (memory.get(b"a"), memory.get(b"b")) == (None, 2)
    assert dict(memory) == {b"b": 2}


def test_what_is_put_again_has_its_new_end(memory, clock):
    memory.put(b"a", 1, 10)
    memory.put(b"a", 2, 5)
    clock.advance(5)
    assert memory.get(b"a") is None


@pytest.mark.parametrize("seconds", [0, -1])
def test_what_has_no_time_is_not_kept_and_replaces_what_had(memory, seconds):
    memory.put(b"a", 1, 10)
    memory.put(b"a", 2, seconds)
    assert memory.get(b"a") is None
    assert len(memory) == 0


def test_what_was_asked_for_longest_ago_goes(memory):
    for key in (b"a", b"b", b"c"):
        memory.put(key, key, 10)
    assert memory.get(b"a") == b"a"
    memory.put(b"d", b"d", 10)
    assert [memory.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"a", None, b"c", b"d"]
    for number in range(1000):
        memory.put(number.to_bytes(4), b"", 10)
    assert len(memory) == 3


def test_what_is_dropped_is_gone(memory):
    memory.put(b"a", 1, 10)
    memory.drop(b"a")
    memory.drop(b"a")
    assert memory.get(b"a") is None


def test_the_oldest_may_be_dropped(memory):
    memory.drop_oldest()
    memory.put(b"a", 1, 10)
    memory.put(b"b", 2, 10)
    memory.drop_oldest()
    assert (memory.get(b"a"), memory.get(b"b")) == (None, 2)


def test_what_is_too_much_for_a_smaller_one_goes_little_by_little(memory):
    for key in (b"a", b"b", b"c"):
        memory.put(key, key, 10)
    memory.most = 1
    lengths = []
    for key in (b"d", b"e"):
        memory.put(key, key, 10)
        lengths.append(len(memory))
    assert lengths == [2, 1]
    assert memory.get(b"e") == b"e"
