"""The routes of the overview and of budgets."""

import msgspec

from aibridged.api import budget_shapes, json_stream, overview_shapes
from aibridged.api.budgets import budgets, scope
from aibridged.api.filters import MAX_OFFSET, OVERVIEW_TERMS, said_of
from aibridged.api.openapi import Parameter
from aibridged.api.overview import DIMENSIONS, overview
from aibridged.api.overview_range import ASKED
from aibridged.api.routes import Question, Route
from aibridged.core.budgets import Scope
from aibridged.records.query import MAX_LIMIT, Query

_encode = msgspec.json.Encoder().encode


def _overview(query: Query, question: Question) -> json_stream.Chunks:
    wanted = question.filter(OVERVIEW_TERMS)
    yield _encode(overview(query, question.parameters, wanted))


def _budgets(query: Query, question: Question) -> json_stream.Chunks:
    yield _encode(budgets(query, question.parameters, question.owner))


def _scope(query: Query, question: Question) -> json_stream.Chunks:
    yield _encode(scope(query, question.parameters))


ROUTES = (
    Route(
        "/overview",
        "Get usage over time, in all and by one dimension, and how it compares",
        _overview,
        overview_shapes.Overview,
        (
            Parameter(
                "period",
                f"The time until now, {ASKED[0]} by default: {', '.join(ASKED)}; mutually exclusive"
                " with a time range in q.",
            ),
            Parameter(
                "by",
                f"A dimension, {DIMENSIONS[0]} by default: {', '.join(DIMENSIONS)}. Those of its"
                " values that cost most have a series each.",
            ),
            Parameter("q", said_of(OVERVIEW_TERMS)),
        ),
    ),
    Route(
        "/budgets",
        "List spend limits with what is used of them; of others than administrators, their own",
        _budgets,
        budget_shapes.Budgets,
        (
            Parameter("sort", "share: those nearest to their caps first."),
            Parameter("limit", "Maximum page size, 0 for 100.", minimum=0, maximum=MAX_LIMIT),
            Parameter("offset", "Number of items to skip.", minimum=0, maximum=MAX_OFFSET),
        ),
    ),
    Route(
        "/budgets/scope",
        "Find whom a spend limit is for, by name; for administrators",
        _scope,
        budget_shapes.BudgetScope,
        (
            Parameter("scope", f"What it is: {', '.join(Scope)}."),
            Parameter("name", "A username, the name of a group, or how a token's id begins."),
        ),
        for_admins=True,
    ),
)
