"""What a policy says of sessions that run away, and of budgets that run out."""

import json
import re
from collections.abc import Callable

import pytest

from aibridged.config.options import PolicySettings, SessionSettings, SoftBudgetSettings
from aibridged.config.policy_limits import BUDGET, MAX_MODELS, SESSION
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]

WHOLE = {
    "action": "end",
    "max_cost": "2.5",
    "max_requests": 2000,
    "repeated_calls": 20,
    "compactions": 3,
    "tokens_per_minute": 1_000_000,
}
READ = SessionSettings(True, 2_500_000_000, 2000, 20, 3, 1_000_000)


def policies(resolution: Resolution) -> tuple[PolicySettings, ...]:
    assert resolution.mistakes == []
    assert resolution.settings is not None
    return resolution.settings.policies


def in_a_file(**fields: object) -> str:
    return f"aibridge:\n  policies:\n    - {json.dumps(fields)}\n"


def test_the_same_in_a_file_and_in_a_variable(resolve: Resolve) -> None:
    (policy,) = policies(resolve(yaml=in_a_file(session=WHOLE)))
    assert policy.session == READ
    environ = {"CODER_AIBRIDGE_POLICY_0_SESSION": json.dumps(WHOLE)}
    assert policies(resolve(environ=environ)) == (policy,)


def test_a_policy_says_nothing_of_sessions_by_itself(resolve: Resolve) -> None:
    assert policies(resolve(yaml=in_a_file(models=["*"])))[0].session is None


def test_loops_are_noticed_by_default_and_warned_of(resolve: Resolve) -> None:
    (policy,) = policies(resolve(yaml=in_a_file(session={"max_requests": 5})))
    assert policy.session == SessionSettings(max_requests=5)
    assert policy.session.repeated_calls == 30
    assert policy.session.compactions == 4
    assert not policy.session.ends


def test_a_detector_is_switched_off_by_0() -> None:
    off = SESSION.parse('{"repeated_calls": 0, "compactions": 0, "tokens_per_minute": 0}')
    assert off == SessionSettings(repeated_calls=None, compactions=None)


def test_it_is_shown_in_words() -> None:
    assert SESSION.show(READ) == (
        "action end, max_cost 2.5, max_requests 2000, repeated_calls 20, compactions 3, "
        "tokens_per_minute 1000000"
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "is not a mapping: in a variable, it is a JSON object"),
        ("x", "is not a mapping: in a variable, it is a JSON object"),
        ("[" * 100_000, "is not a mapping: in a variable, it is a JSON object"),
        (
            '{"max_costs": 1}',
            "there is no 'max_costs' in it, but action, max_cost, max_requests, repeated_calls, "
            "compactions, tokens_per_minute",
        ),
        ('{"action": "stop"}', "action: 'stop' is none of warn, end"),
        ('{"action": true}', "action: is not a value"),
        ('{"max_cost": "x"}', "max_cost: 'x' is not an amount of dollars like 25 or 2.50"),
        ('{"max_cost": -1}', "max_cost: '-1' is not an amount of dollars like 25 or 2.50"),
        ('{"max_cost": "1e-10"}', "max_cost: '1e-10' is not an amount of dollars like 25 or 2.50"),
        ('{"max_cost": NaN}', "max_cost: is not a value"),
        ('{"max_cost": 1000001}', "max_cost: 1000001 is more than 1000000 dollars"),
        (
            '{"max_cost": 1e999999999}',
            "max_cost: '1E+999999999' is not an amount of dollars like 25 or 2.50",
        ),
        ('{"max_requests": 0}', "max_requests: 0 is less than 1"),
        (
            '{"max_requests": 1.5}',
            "max_requests: '1.5' is not an integer from 1 to 1000000000000",
        ),
        ('{"repeated_calls": 2}', "repeated_calls: 2 is less than 3"),
        ('{"compactions": 1}', "compactions: 1 is less than 2"),
        ('{"compactions": 4, "compactions": 5}', "has a key twice in one mapping"),
    ],
)
def test_what_is_wrong_is_named(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(what)}$"):
        SESSION.parse(text)


def test_a_mistake_has_its_line(resolve: Resolve) -> None:
    resolution = resolve(yaml=in_a_file(session={"max_requests": "many"}))
    (mistake,) = resolution.mistakes
    assert mistake.where.endswith("settings.yaml:3 aibridge.policies[0].session")
    assert mistake.what.startswith("max_requests: 'many' is not an integer")


BUDGETS = {
    "warn_at": "80%",
    "switch_at": 90,
    "models": {"claude-opus-*": "claude-haiku-4-5", "claude-*": "claude-haiku-4-5"},
}
SWITCHING = SoftBudgetSettings(
    80, 90, (("claude-opus-*", "claude-haiku-4-5"), ("claude-*", "claude-haiku-4-5"))
)


def test_a_budget_in_a_file_and_in_a_variable(resolve: Resolve) -> None:
    (policy,) = policies(resolve(yaml=in_a_file(budget=BUDGETS)))
    assert policy.budget == SWITCHING
    environ = {"CODER_AIBRIDGE_POLICY_0_BUDGET": json.dumps(BUDGETS)}
    assert policies(resolve(environ=environ)) == (policy,)
    assert BUDGET.show(SWITCHING) == (
        "warn_at 80%, switch_at 90%, claude-opus-* -> claude-haiku-4-5, "
        "claude-* -> claude-haiku-4-5"
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{}", "says neither warn_at nor switch_at, so that it would do nothing"),
        (
            '{"switch_at": 90}',
            "needs both switch_at and models to switch models, or none of them",
        ),
        (
            '{"warn_at": 90, "models": {"a": "b"}}',
            "needs both switch_at and models to switch models, or none of them",
        ),
        ('{"warn_at": "0%"}', "warn_at: '0%' is not a share like 80%, from 1% to 100%"),
        ('{"warn_at": 0.8}', "warn_at: '0.8' is not a share like 80%, from 1% to 100%"),
        ('{"warn_at": 101}', "warn_at: '101' is not a share like 80%, from 1% to 100%"),
        ('{"models": ["a"]}', "models: is not a mapping from models (globs) to models"),
        ('{"models": {"a": 1}}', "models: is not a mapping from models (globs) to models"),
        ('{"models": {}}', f"models: has 0 entries: from 1 to {MAX_MODELS} are read"),
        (
            '{"models": {"a": "b*"}}',
            "models: 'b*' is a glob, and no model that can be asked for",
        ),
        ('{"models": {"a": "\u00e9"}}', "models: 'é' is not ASCII, as the names of models are"),
        (
            '{"models": {"a": ""}}',
            "models: a name is empty, not printable, or over 512 characters",
        ),
    ],
)
def test_what_is_wrong_with_a_budget_is_named(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(what)}$"):
        BUDGET.parse(text)


def test_a_map_of_models_is_bounded() -> None:
    many = {f"m{number}": "m" for number in range(MAX_MODELS + 1)}
    with pytest.raises(ValueError, match="entries"):
        BUDGET.parse(json.dumps({"switch_at": 90, "models": many}))


def test_a_model_that_is_switched_to_has_to_be_granted(resolve: Resolve) -> None:
    resolution = resolve(yaml=in_a_file(models=["claude-opus-*"], budget=BUDGETS))
    assert [(each.what, each.remedy) for each in resolution.mistakes] == [
        (
            "the budget switches to claude-haiku-4-5, which the policy does not grant",
            "Add it to the policy's models.",
        )
    ]
