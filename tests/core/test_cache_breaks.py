"""What broke a prompt's cache, and what that lost."""

from datetime import UTC, datetime, timedelta

import pytest

from aibridged.core.cache_breaks import (
    DIGEST,
    LEAST_LOST,
    LOOKED_BACK,
    CacheBreak,
    Cause,
    Change,
    Difference,
    Prompt,
    Trait,
    Turn,
    cache_break,
    common_blocks,
    first_difference,
    lost_tokens,
    sentence,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def prompt(names, marked=()):
    """Blocks by names: t1 is a tool, s1 of the system, m1 of a message, o1 an option."""
    kinds = {"t": "tool", "s": "system", "m": "text", "o": "tool_choice", "p": "previous_response"}
    names = names.split()
    digests = b"".join(name.encode().ljust(DIGEST, b".") for name in names)
    traits = tuple(
        Trait(kinds[name[0]], "user", 10 * len(name), 300 if name in marked else 0)
        for name in names
    )
    return Prompt(digests, traits)


BEFORE = "t1 t2 s1 o1 m1 m2"


def turn(names=None, seconds=0, fresh=0, found=0, written=0, marked=(), **fields):
    made = Turn(
        NOW + timedelta(seconds=seconds),
        "model",
        "anthropic",
        "sk-a...z",
        fresh,
        found,
        written,
        prompt=None if names is None else prompt(names, marked),
    )
    return made._replace(**fields)


def broken(now, seconds=60, found=2000, before=BEFORE, **fields):
    """What broke it between a turn that has cached 20,000 tokens and this one."""
    earlier = turn(before, written=20_000)
    return cache_break(earlier, turn(now, seconds, 100, found, 20_000 - found, **fields))


@pytest.mark.parametrize(
    ("now", "cause", "difference"),
    [
        ("t1 t3 s1 o1 m1 m2 m3", Cause.TOOLS, (1, Change.CHANGED, "tool", 20, 20)),
        ("t0 t1 t2 s1 o1 m1 m2", Cause.TOOLS, (0, Change.INSERTED, "tool", None, 20)),
        ("t1 t2 t3 s1 o1 m1 m2", Cause.TOOLS, (2, Change.INSERTED, "tool", None, 20)),
        ("t2 s1 o1 m1 m2 m3", Cause.TOOLS, (0, Change.REMOVED, "tool", 20, None)),
        ("t1 s2 o2 m3", Cause.TOOLS, (1, Change.CHANGED, "tool", 20, 20)),
        ("t1 t2 s222 o1 m1 m2", Cause.SYSTEM, (2, Change.CHANGED, "system", 20, 40)),
        ("t1 t2 s1 o2 m1 m2", Cause.OPTIONS, (3, Change.CHANGED, "tool_choice", 20, 20)),
        ("t1 t2 s1 o1 m1 m9 m3", Cause.MESSAGES, (5, Change.CHANGED, "text", 20, 20)),
        ("t1 t2 s1 o1 m1", Cause.MESSAGES, (5, Change.REMOVED, "text", 20, None)),
        (BEFORE + " m3", Cause.MISSED, None),
        (None, Cause.UNKNOWN, None),
        ("t1 t2 s1 o1 p1 m7", Cause.UNKNOWN, None),
    ],
)
def test_the_first_block_that_differs_is_the_cause(now, cause, difference):
    if difference is not None:
        place, change, kind, *sizes = difference
        difference = Difference(place, change, kind, "user", *sizes)
    assert broken(now) == CacheBreak(cause, 18_000, 60, difference)


def test_what_comes_before_it_counts_first():
    assert broken(BEFORE, model="other").cause is Cause.MODEL
    assert broken("t9", provider="azure").cause is Cause.PROVIDER
    assert broken("t9", credential="sk-b...c").cause is Cause.PROVIDER


def test_a_cache_expires():
    assert broken(BEFORE, seconds=301, found=0).cause is Cause.EXPIRED
    assert broken(BEFORE, seconds=301).cause is Cause.EXPIRED
    assert broken(None, seconds=301).cause is Cause.EXPIRED
    # All of it would have been lost anyway.
    assert broken("t9", seconds=301, found=0).cause is Cause.EXPIRED
    assert broken("t1 t9 s1", seconds=301).cause is Cause.TOOLS
    assert broken(BEFORE, seconds=299, found=0).cause is Cause.MISSED
    an_hour = prompt(BEFORE)
    an_hour = an_hour._replace(traits=(an_hour.traits[0]._replace(lifetime=3600),))
    earlier = turn(None, written=20_000, prompt=an_hour)
    for seconds, cause in ((3599, Cause.UNMARKED), (3601, Cause.EXPIRED)):
        assert cache_break(earlier, turn(BEFORE, seconds, fresh=20_000)).cause is cause


@pytest.mark.parametrize(
    ("added", "cause"), [(LOOKED_BACK - 1, Cause.MISSED), (LOOKED_BACK, Cause.TOO_FAR)]
)
def test_a_marker_too_far_behind_finds_nothing(added, cause):
    later = [*BEFORE.split(), *(f"m{number}" for number in range(100, 100 + added))]
    earlier = turn(BEFORE, written=20_000, marked={"m2"})
    now = turn(" ".join(later), 60, fresh=0, written=20_000, marked={later[-1]})
    assert cache_break(earlier, now).cause is cause


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_a_sentence(cause):
    assert sentence(cause, 720, None)


def test_a_sentence_tells_the_block_or_the_time():
    difference = Difference(11, Change.INSERTED, "tool", "", None, 9)
    assert sentence(Cause.TOOLS, 60, difference) == (
        "the tools changed: block 12 (tool) was inserted"
    )
    assert sentence(Cause.EXPIRED, 720, None) == "it expired 12 min after the turn before"


def test_little_is_no_loss():
    before = turn(BEFORE, written=20_000)
    assert not lost_tokens(before, turn(found=20_000, written=500))
    assert not lost_tokens(before, turn(found=20_001 - LEAST_LOST, written=50_000))
    assert lost_tokens(before, turn(found=20_000 - LEAST_LOST, written=50_000)) == LEAST_LOST
    large = turn(BEFORE, written=100_000)
    assert not lost_tokens(large, turn(found=95_001, written=50_000))
    assert lost_tokens(large, turn(found=95_000, written=50_000)) == 5_000
    assert broken(BEFORE, found=20_000) is None


def test_only_what_was_cached_and_is_given_can_be_lost():
    assert lost_tokens(turn(fresh=50_000, written=5_000), turn(fresh=60_000)) == 5_000
    assert lost_tokens(turn(written=50_000), turn(fresh=2_000)) == 2_000
    automatic = turn(fresh=50_000, is_automatic=True)
    assert lost_tokens(automatic, turn(fresh=60_000)) == 50_000


def test_a_clock_that_stepped_back_makes_no_negative_time():
    assert broken(BEFORE, seconds=-5).seconds == 0


def test_common_blocks_are_found_at_any_place():
    blocks = [number.to_bytes(DIGEST) for number in range(40)]
    whole = b"".join(blocks)
    for place in range(40):
        other = b"".join([*blocks[:place], b"x" * DIGEST, *blocks[place + 1 :]])
        assert common_blocks(whole, other) == place
        assert common_blocks(whole, whole[: place * DIGEST]) == place
    assert common_blocks(whole, whole) == 40
    assert common_blocks(b"", whole) == 0


def test_one_that_has_moved_far_is_another_one():
    many = " ".join(f"m{number}" for number in range(100, 200))
    found = first_difference(prompt("s1 m1"), prompt(f"s1 {many} m1"))
    assert found.change is Change.CHANGED
    assert first_difference(prompt("s1 m1"), prompt("s1 m1 m2")) is None
