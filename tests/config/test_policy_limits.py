"""What a policy says of sessions that run away."""

import json
import re
from collections.abc import Callable

import pytest

from aibridged.config.options import PolicySettings, SessionSettings
from aibridged.config.policy_limits import SESSION
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
