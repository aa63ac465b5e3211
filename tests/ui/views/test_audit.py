"""Rows of the audit log in sentences."""

import pytest

from aibridged.ui.views.audit import sentence


@pytest.mark.parametrize(
    ("action", "target", "username", "said", "page"),
    [
        ("user.suspend", "id-1", "ann", "suspended ann", "/people/id-1"),
        ("user.delete", "id-1", "ann", "deleted the user ann", ""),
        ("user.erase", "id-1", None, "erased id-1", ""),
        ("token.revoke", "abc", "ann", "revoked the token abc of ann", ""),
        ("token.revoke", "abc", None, "revoked the token abc", ""),
        ("group.add", "a/b", None, "added members to the group a/b", "/groups/a%2Fb"),
        ("group.delete", "ops", None, "deleted the group ops", ""),
        ("sign_in.create", "id-2", "root", "signed in ", ""),
        ("sign_in.end", "id-1", "ann", "ended a sign-in of ann", "/people/id-1"),
        ("texts.search", "everybody", None, "searched the texts of everybody", ""),
        ("request.end", "id-3", None, "ended the request id-3", "/interceptions/id-3"),
        ("thing.made", "x", None, "thing.made x", ""),
    ],
)
def test_a_row_is_told_in_words(action, target, username, said, page):
    row = {"actor": "root", "action": action, "target": target, "username": username}
    found = sentence({**row, "before": None, "after": None})
    assert (f"{found['verb']} {found['object']}", found["page"]) == (said, page)


def test_a_limit_is_told_by_its_period_and_scope():
    row = {"actor": "root", "action": "spend_limit.upsert", "target": "spl_1", "username": None}
    state = {"scope": "organization", "period": "daily", "cents": 5}
    found = sentence({**row, "before": None, "after": state})
    assert f"{found['verb']} {found['object']}" == "set a spend limit: daily of everybody"
