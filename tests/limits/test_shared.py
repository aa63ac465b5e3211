import os

import pytest

from aibridged.core.circuit import BreakerSettings
from aibridged.core.expiring import Expiring
from aibridged.core.limiters import Limiters, LocalLimiters
from aibridged.limits.counts import SharedValues
from aibridged.limits.shared import SharedLimits
from tests.limits.conftest import WORKERS

RULES = BreakerSettings(1, 0, 1, 1)


def made(limiters: Limiters) -> dict[str, object]:
    return {
        "slots": limiters.slots(1),
        "callers": limiters.callers(1),
        "rates": limiters.rate_limiter(1, "page"),
        "persons": limiters.person_limits(),
        "guesses": limiters.guesses(1, 60.0, "page"),
        "breakers": limiters.breakers(RULES, lambda *_: None),
        "sessions": limiters.sessions(),
    }


def test_limits_that_are_shared_are_of_the_same_kinds(attach, clock):
    local, shared = LocalLimiters(clock), attach(0)
    assert (local.workers, shared.workers) == (1, WORKERS)
    for name, each in made(local).items():
        there = made(shared)[name]
        assert isinstance(there, type(each))
        assert type(there) is not type(each)
    assert isinstance(local.kept(1, "used shares"), Expiring)
    assert isinstance(shared.kept(1, "used shares"), SharedValues)


@pytest.mark.parametrize("slot", [-1, WORKERS])
def test_there_is_no_other_slot(memory, clock, slot):
    with pytest.raises(ValueError, match="slot"):
        SharedLimits.attach(memory.fileno(), slot, clock)


def test_the_workers_go_on_without_their_supervisor(clock):
    memory = SharedLimits.create(2)
    fd = os.dup(memory.fileno())
    memory.close()
    one, other = (SharedLimits.attach(fd, slot, clock) for slot in range(2))
    os.close(fd)
    assert one.slots(1).take()
    assert not other.slots(1).take()
    one.close()
    other.close()
