"""Which policy counts, and what it grants."""

import pytest

from aibridged.config.options import PolicySettings
from aibridged.core.policies import MAX_REMEMBERED, PersonLimits, Policies

CONTRACTORS = PolicySettings(("contractors", "agency"), ("claude-haiku-*", "gpt-5.4-nano"), ("a",))
STAFF = PolicySettings(("staff",))
EVERYBODY = PolicySettings(models=("gpt-*",))


@pytest.mark.parametrize(
    ("policies", "groups", "number"),
    [
        ((CONTRACTORS, STAFF, EVERYBODY), ("contractors",), 1),
        ((CONTRACTORS, STAFF, EVERYBODY), ("agency", "staff"), 1),
        ((STAFF, CONTRACTORS, EVERYBODY), ("contractors", "staff"), 1),
        ((CONTRACTORS, STAFF, EVERYBODY), ("staff",), 2),
        ((CONTRACTORS, STAFF, EVERYBODY), ("Staff",), 3),
        ((CONTRACTORS, STAFF, EVERYBODY), (), 3),
        ((CONTRACTORS, STAFF), ("other",), None),
        ((CONTRACTORS, STAFF), (), None),
    ],
)
def test_the_first_one_that_fits_counts(policies, groups, number):
    found = Policies(policies).of(groups)
    assert (found.number if found is not None else None) == number


@pytest.mark.parametrize(
    ("policy", "model", "grants"),
    [
        (CONTRACTORS, "claude-haiku-4-5", True),
        (CONTRACTORS, "gpt-5.4-nano", True),
        (CONTRACTORS, "gpt-5.4", False),
        (CONTRACTORS, "claude-opus-4-8", False),
        (STAFF, "anything", True),
        (PolicySettings(models=("a", "*")), "", True),
        (PolicySettings(models=()), "a", False),
        (PolicySettings(models=()), "", False),
    ],
)
def test_models(policy, model, grants):
    found = Policies([policy]).of(policy.groups or ())
    assert found.grants_model(model) is grants
    assert found.grants_model(model) is grants, "it is remembered as it was"
    assert found.restricts_models is (policy.models is not None and "*" not in policy.models)


def test_providers():
    contractors, staff = Policies([CONTRACTORS, STAFF]), Policies([STAFF])
    assert contractors.of(("agency",)).grants_provider("a")
    assert not contractors.of(("agency",)).grants_provider("b")
    assert staff.of(("staff",)).grants_provider("b")
    assert not Policies([PolicySettings(providers=())]).of(()).grants_provider("a")


def test_whether_any_of_them_restricts_models():
    assert Policies([STAFF, EVERYBODY]).restrict_models
    assert not Policies([STAFF, PolicySettings(models=("*",))]).restrict_models


def test_what_callers_choose_is_remembered_within_bounds():
    policies = Policies([CONTRACTORS])
    policy = policies.of(("contractors",))
    for number in range(MAX_REMEMBERED + 10):
        policy.grants_model(f"m{number}")
        policies.of((f"g{number}",))
    assert len(policy._granted) <= MAX_REMEMBERED
    assert len(policies._found) <= MAX_REMEMBERED


def test_a_person_has_requests_per_second_of_their_own(clock):
    limits = PersonLimits(clock)
    assert [limits.admit("ann", 2) for _ in range(3)] == [True, True, False]
    assert limits.admit("bob", 2)
    clock.advance(0.5)
    assert [limits.admit("ann", 2) for _ in range(2)] == [True, False]


def test_limiters_of_rates_that_no_policy_has_are_forgotten(clock):
    limits = PersonLimits(clock)
    assert limits.admit("ann", 1)
    assert limits.admit("ann", 2)
    limits.keep([2])
    assert list(limits._limiters) == [2]
    assert limits.admit("ann", 1), "it has begun again"


def test_a_person_has_places_of_their_own(clock):
    limits = PersonLimits(clock)
    assert [limits.take("ann", 2) for _ in range(3)] == [True, True, False]
    assert limits.take("bob", 2)
    limits.release("ann")
    assert limits.take("ann", 2)
    for person in ("ann", "ann", "bob"):
        limits.release(person)
    assert len(limits) == 0
