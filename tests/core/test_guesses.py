from aibridged.core.guesses import Guesses


def test_so_many_guesses_within_the_period(clock):
    guesses = Guesses(2, 60.0, clock)
    assert [guesses.take(b"a") for _ in range(4)] == [True, True, False, False]
    assert guesses.take(b"b")
    clock.advance(59)
    assert not guesses.take(b"a")
    clock.advance(1)
    assert guesses.take(b"a")


def test_a_right_one_is_given_back(clock):
    guesses = Guesses(1, 60.0, clock)
    for _ in range(3):
        assert guesses.take(b"a")
        guesses.give_back(b"a")
    assert guesses.take(b"a")
    assert not guesses.take(b"a")
    clock.advance(60)
    guesses.give_back(b"a")  # of the period before
    assert [guesses.take(b"a") for _ in range(2)] == [True, False]


def test_callers_are_remembered_in_a_bounded_map(clock):
    guesses = Guesses(1, 60.0, clock, max_callers=3)
    for number in range(10):
        guesses.take(bytes([number]))
    assert len(guesses) == 3
