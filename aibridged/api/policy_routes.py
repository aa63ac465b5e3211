"""Routes of policies, for administrators: which there are, and what they grant to a person."""

from collections.abc import Sequence

import msgspec

from aibridged.api import people_shapes as shapes
from aibridged.api.filters import BadFilterError
from aibridged.api.json_stream import Chunks
from aibridged.api.openapi import Parameter
from aibridged.api.people import People, read_words, shown_target
from aibridged.api.routes import Question, Route
from aibridged.core.policies import Policies, Policy
from aibridged.identity.directory import find_user
from aibridged.records.query import Query

_encode = msgspec.json.Encoder().encode


class _Policies:
    """Answers about policies."""

    def __init__(self, people: People) -> None:
        self._people = people

    def all(self, _query: Query, _question: Question) -> Chunks:
        found = self._people.policies or ()
        results = [shapes.policy(each.number, each.settings) for each in found]
        yield _encode(shapes.Policies(results=results))

    def explain(self, query: Query, question: Question) -> Chunks:
        self._people.check()
        name, model = (read_words(question.parameters, each) for each in ("user", "model"))
        if name is None:
            raise BadFilterError("user is missing: give a username or an id.")
        with query.reading() as connection, shown_target():
            user = find_user(connection, name)
        yield _encode(explanation(self._people.policies, user.username, user.groups, model))


def explanation(
    policies: Policies | None, username: str, groups: Sequence[str], model: str | None
) -> shapes.PolicyExplanation:
    """Which policy counts for a person in these groups, and whether it grants a model."""
    found = None if policies is None else policies.of(tuple(groups))
    is_granted = None
    if model is not None:
        is_granted = policies is None or (found is not None and found.grants_model(model))
    by = found.granting_glob(model) if found is not None and model is not None else None
    return shapes.PolicyExplanation(
        username=username,
        groups=groups,
        considered=[_considered(each, found, groups) for each in policies or ()],
        policy=None if found is None else shapes.policy(found.number, found.settings),
        model=model,
        model_granted=is_granted,
        granted_by=by,
        verdict=_verdict(policies, found, model, is_granted=is_granted, by=by),
    )


def _considered(
    each: Policy, found: Policy | None, groups: Sequence[str]
) -> shapes.ConsideredPolicy:
    wanted, counts = each.settings.groups, each is found
    if wanted is None:
        reason = "It is for everybody."
    elif theirs := [name for name in wanted if name in groups]:
        reason = f"It is for a group of theirs: {', '.join(theirs)}."
    else:
        reason = f"They are in none of its groups: {', '.join(wanted) or 'it has none'}."
    if each.fits(groups) and found is not None and not counts:
        reason += f" Policy {found.number} comes first."
    return shapes.ConsideredPolicy(
        number=each.number, fits=each.fits(groups), counts=counts, reason=reason
    )


def _verdict(
    policies: Policies | None,
    found: Policy | None,
    model: str | None,
    *,
    is_granted: bool | None,
    by: str | None,
) -> str:
    if policies is None:
        return "There are no policies: everything is granted to everybody."
    if found is None:
        return "No policy fits: nothing is granted."
    said = f"Policy {found.number} counts."
    if model is None:
        return said
    if not is_granted:
        return f"{said} It doesn't grant {model}."
    return f"{said} It grants {model}" + (f" by {by}." if by is not None else ".")


def routes(people: People) -> tuple[Route, ...]:
    """The routes of policies."""
    policies = _Policies(people)
    return (
        Route(
            "/policies",
            "List the policies in force, in the order in which they are tried",
            policies.all,
            shapes.Policies,
            for_admins=True,
        ),
        Route(
            "/policies/explain",
            "Explain which policy counts for a user, and whether it grants a model",
            policies.explain,
            shapes.PolicyExplanation,
            (
                Parameter("user", "A username, or the id of a user."),
                Parameter("model", "The name of a model, as clients ask for it."),
            ),
            for_admins=True,
        ),
    )
