"""Policies by the HTTP API: which there are, and why one counts."""

from aibridged.config.options import PolicySettings
from aibridged.identity.groups import GroupStore


async def test_without_policies_everything_is_granted(ask):
    assert await ask("GET", "/policies") == {"results": []}
    found = await ask("GET", "/policies/explain", user="root", model="gpt-x")
    assert (found["model_granted"], found["policy"], found["considered"]) == (True, None, [])
    assert "everything is granted" in found["verdict"]


async def test_the_first_policy_that_fits_counts_and_says_why(ask, database, clock):
    groups = GroupStore(database.engine, clock)
    groups.create("dev"), groups.create("ops")
    ask.person("ann", groups=["dev"])
    managed = '{"model":"x"}'
    ask.policies(
        PolicySettings(groups=("ops",), models=()),
        PolicySettings(groups=("dev", "ops"), models=("gpt-*", "claude-*"), claude_code=managed),
        PolicySettings(rate_limit=5),
    )
    listed = (await ask("GET", "/policies"))["results"]
    assert [(each["number"], each["groups"], each["models"]) for each in listed] == [
        (1, ["ops"], []),
        (2, ["dev", "ops"], ["gpt-*", "claude-*"]),
        (3, None, None),
    ]
    assert (listed[1]["claude_code"], listed[2]["rate_limit"]) == ({"model": "x"}, 5)
    found = await ask("GET", "/policies/explain", user="ann", model="claude-opus")
    assert [(each["fits"], each["counts"]) for each in found["considered"]] == [
        (False, False),
        (True, True),
        (True, False),
    ]
    assert [each["reason"] for each in found["considered"]] == [
        "They are in none of its groups: ops.",
        "It is for a group of theirs: dev.",
        "It is for everybody. Policy 2 comes first.",
    ]
    assert found["policy"] == listed[1]
    assert (found["model_granted"], found["granted_by"]) == (True, "claude-*")
    assert found["verdict"] == "Policy 2 counts. It grants claude-opus by claude-*."
    refused = await ask("GET", "/policies/explain", user="ann", model="o3")
    assert (refused["model_granted"], refused["granted_by"]) == (False, None)
    assert refused["verdict"] == "Policy 2 counts. It doesn't grant o3."


async def test_whom_no_policy_fits_is_granted_nothing(ask):
    ask.policies(PolicySettings(groups=("ops",)))
    found = await ask("GET", "/policies/explain", user=ask.root.id, model="x")
    assert (found["model_granted"], found["policy"]) == (False, None)
    assert found["verdict"] == "No policy fits: nothing is granted."


async def test_what_is_asked_has_to_be_right(ask):
    assert (await ask.refusal("GET", "/policies/explain"))[0] == 400
    assert (await ask.refusal("GET", "/policies/explain", user="nobody"))[0] == 404
