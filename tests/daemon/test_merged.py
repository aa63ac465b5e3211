"""What several workers know a part of, as one answer."""

from aibridged.api.operations import Percentiles, ProviderKey, Providers, ProviderStatus
from aibridged.api.problems import Problem, ProblemKind, Problems
from aibridged.daemon.merged import problems_of_all, providers_of_all


def problem(subject: str, *, severe: bool) -> Problem:
    kind = ProblemKind.CIRCUIT_OPEN
    return Problem(kind=kind, is_severe=severe, subject=subject, message=f"{subject}.")


def test_each_problem_is_told_once_and_the_severe_first() -> None:
    one = Problems(problems=[problem("a", severe=False)], left_out=0)
    other = Problems(problems=[problem("b", severe=True), problem("a", severe=False)], left_out=2)
    found = problems_of_all([one, other])
    assert [each.subject for each in found.problems] == ["b", "a"]
    assert found.left_out == 2


def providers(number: int, refused: float | None) -> Providers:
    key = ProviderKey(
        hint="sk-1…", setting="--key", refused_status=401 if refused else None, refused_s=refused
    )
    times = Percentiles(p50=float(number), p95=None if number == 1 else 9.0)
    own = ProviderStatus(
        name="openai",
        type="openai",
        host="h",
        proxy=None,
        connections=number,
        key=key,
        circuits=[],
        requests=10 * number,
        failed=number,
        statuses={"200": 9 * number, "500": number},
        duration=times,
        first_byte=times,
        refusals={"rate_limited": number},
    )
    return Providers(
        providers=[own], breaker_threshold=5, circuits_left_out=0, refusals={"x": number}
    )


def test_the_health_of_providers_is_that_of_all() -> None:
    found = providers_of_all([providers(1, 30.0), providers(2, 4.0), providers(3, None)])
    [own] = found.providers
    assert (own.connections, own.requests, own.failed) == (6, 60, 6)
    assert own.statuses == {"200": 54, "500": 6}
    assert own.duration == Percentiles(p50=3.0, p95=9.0)
    assert own.key.refused_s == 4.0
    assert found.refusals == {"x": 6}
    assert own.refusals == {"rate_limited": 6}
