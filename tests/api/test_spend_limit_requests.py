"""Parameters and bodies of requests for spend limits: tolerant, and bounded."""

import json

import pytest

from aibridged.api.spend_limit_requests import (
    MAX_PARAMETERS,
    MAX_QUERY,
    MAX_WORDS,
    Change,
    Parameters,
    read_change,
)
from aibridged.core.budgets import Period, Scope
from aibridged.errors import GatewayError
from aibridged.identity.spend_scopes import ScopeKey

MINE = {"type": "user", "user_id": "u1", "since": "some later version"}


def body(scope=MINE, **fields):
    return json.dumps({"scope": scope, "amount": "5000", "period": "daily", **fields}).encode()


@pytest.mark.parametrize(
    ("sent", "change"),
    [
        (body(), Change(ScopeKey(Scope.USER, "u1"), Period.DAILY, 5000)),
        (
            body(amount=None, reason="x", more=[1]),
            Change(ScopeKey(Scope.USER, "u1"), "daily", None),
        ),
        (
            body({"type": "organization"}, amount="0", period="weekly"),
            Change(ScopeKey(Scope.ORGANIZATION), Period.WEEKLY, 0),
        ),
        (body({"type": "group_pool", "group_id": "g"}), Change((Scope.POOL, "g"), "daily", 5000)),
        (
            body({"type": "rbac_group", "rbac_group_id": "g"}),
            Change((Scope.GROUP, "g"), "daily", 5000),
        ),
        (body({"type": "token", "token_id": "t"}), Change((Scope.TOKEN, "t"), "daily", 5000)),
    ],
)
def test_bodies(sent, change):
    assert read_change(sent) == change


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "JSON object"),
        (b"[]", "JSON object"),
        (b"\xff", "JSON object"),
        (b"[" * 16000, "JSON object"),
        (body("user"), "scope.type is one of organization, rbac_group"),
        (body({"type": ["user"]}), "scope.type is one of"),
        (body({"type": "user"}), "scope.user_id is missing"),
        (body({"type": "user", "user_id": 7}), "scope.user_id is missing"),
        (body({"type": "user", "user_id": "x" * (MAX_WORDS + 1)}), "scope.user_id is missing"),
        (body({"type": "user", "user_id": "\x00"}), "scope.user_id is missing"),
        (body(period="yearly"), "period is one of daily, weekly, monthly"),
        (b'{"scope": {"type": "organization"}, "period": "daily"}', "whole cents"),
        (body(amount="12.5"), "whole cents"),
        (body(amount="-1"), "whole cents"),
        (body(amount=5000), "whole cents"),
        (body(amount=True), "whole cents"),
        (body(amount="9" * 19), "whole cents"),
    ],
)
def test_what_a_body_lacks_is_said(sent, said):
    with pytest.raises(GatewayError) as raised:
        read_change(sent)
    assert (raised.value.kind.status, said in raised.value.message) == (400, True)


def test_parameters_are_read_with_and_without_brackets():
    asked = Parameters("user_ids[]=a&user_ids=b&user_ids%5B%5D=c&limit=5&q=&new=1&limit=7")
    assert asked.all("user_ids") == ["a", "b", "c"]
    assert (asked.page_size(), asked.text("q"), asked.text("gone")) == (7, None, None)
    assert Parameters("").page_size() == 20
    assert Parameters("period=daily&period[]=weekly").words("period", Period) == [
        Period.DAILY,
        Period.WEEKLY,
    ]


@pytest.mark.parametrize(
    "raw",
    [
        "x" * (MAX_QUERY + 1),
        "&".join(["a=1"] * (MAX_PARAMETERS + 1)),
        f"q={'x' * (MAX_WORDS + 1)}",
        "q=%ff",
        "user_ids[]=%00",
    ],
    ids=["length", "number", "value", "encoding", "nul"],
)
def test_parameters_have_bounds(raw):
    with pytest.raises(GatewayError):
        Parameters(raw)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "9" * 5000, "1.0", "\u0661"])
def test_a_page_has_a_size(limit):
    with pytest.raises(GatewayError, match="limit is a whole number from 1 to 1000"):
        Parameters(f"limit={limit[:MAX_WORDS]}").page_size()
