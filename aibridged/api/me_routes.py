"""Routes of the caller: who they are, what counts for them, and their latest request."""

from collections.abc import Mapping

import msgspec

from aibridged.api import people_shapes as shapes
from aibridged.api.budget_standings import budgets_of
from aibridged.api.filters import read_time
from aibridged.api.json_stream import Chunks
from aibridged.api.openapi import Parameter
from aibridged.api.people import People
from aibridged.api.routes import Question, Route
from aibridged.config.options import Settings
from aibridged.errors import ERRORS
from aibridged.identity.spenders import spenders
from aibridged.records.query import Query
from aibridged.records.query_results import Filter
from aibridged.records.refusals import refused_on

_encode = msgspec.json.Encoder().encode
_SENTENCES: Mapping[str, str] = {kind.code: kind.sentence for kind in ERRORS}
_ANY = ("", "0.0.0.0", "::")
_WHERE = {"token": "here", "coder": "coder"}


class _Me:
    """Answers about the caller."""

    def __init__(self, people: People) -> None:
        self._people = people

    def who(self, query: Query, question: Question) -> Chunks:
        actor, policies, settings = question.actor, self._people.policies, self._people.settings
        with query.reading() as connection:
            (person,) = spenders(connection, [actor.id])
            budgets = budgets_of(connection, self._people.now(), person)
        policy = None if policies is None else policies.of(actor.groups)
        yield _encode(
            shapes.Me(
                id=actor.id,
                username=actor.username,
                email=actor.email,
                is_admin=actor.is_admin,
                groups=actor.groups,
                token_id=actor.api_key_id,
                expires_at=actor.expires_at,
                users_are=_WHERE.get(settings.auth, "nowhere"),
                gateway_url=gateway_url(settings),
                has_policies=policies is not None,
                policy=None if policy is None else shapes.policy(policy.number, policy.settings),
                budgets=[shapes.person_budget(each) for each in budgets],
            )
        )

    def latest(self, query: Query, question: Question) -> Chunks:
        id, now = question.actor.id, self._people.now()
        after = question.parameters.get("after")
        since = read_time("after", after) if after else None
        wanted = Filter(initiator_id=id, limit=1, started_after=since)
        found = [*query.interceptions(wanted)]
        with query.reading() as connection:
            refused = refused_on(connection, id, now.date())
        yield _encode(
            shapes.Latest(
                request=shapes.latest_request(found[0]) if found else None,
                refused=[
                    shapes.Refused(
                        reason=reason, message=_SENTENCES.get(reason, reason), count=count
                    )
                    for reason, count in sorted(refused.items())
                ],
                at=now,
            )
        )


def gateway_url(settings: Settings) -> str | None:
    """Where agents reach the gateway; None where it listens on all addresses, and none is named."""
    if settings.access_url is not None:
        return settings.access_url.rstrip("/")
    address = settings.http_address
    if address.host in _ANY or not address.port:
        return None
    scheme = "http" if settings.tls_cert_file is None else "https"
    return f"{scheme}://{address}"


def routes(people: People) -> tuple[Route, ...]:
    """The routes of the caller."""
    me = _Me(people)
    return (
        Route(
            "/me",
            "Get who the caller is, and what counts for them: policy, limits and expiry",
            me.who,
            shapes.Me,
        ),
        Route(
            "/me/latest",
            "Get the caller's latest request, and what they were refused today",
            me.latest,
            shapes.Latest,
            (Parameter("after", "Only requests that started at this time (RFC 3339) or later."),),
        ),
    )
