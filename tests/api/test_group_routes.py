"""Groups by the HTTP API, for admins."""


async def test_a_group_is_made_filled_emptied_and_deleted(ask):
    ask.person("ann"), ask.person("bob")
    secret, _ = await ask.token("ann")
    made = await ask("POST", "/groups", {"name": "dev/ops"})
    assert (made["name"], made["members"]) == ("dev/ops", 0)
    path = "/groups/dev%2Fops"
    filled = await ask("POST", f"{path}/add", {"users": ["ann", "bob"]})
    assert filled == {**made, "members": 2} == await ask("GET", path)
    assert filled == await ask("GET", f"/groups/{made['id']}")
    assert (await ask.cache.authenticate(secret)).groups == ("dev/ops",), "it counts at once"
    assert (await ask("POST", f"{path}/remove", {"users": ["ann"]}))["members"] == 1
    assert (await ask.cache.authenticate(secret)).groups == ()
    assert (await ask("DELETE", path))["members"] == 1
    assert (await ask.refusal("GET", path))[0] == 404
    assert await ask.audit("group") == [
        ("root", f"group.{what}", "dev/ops") for what in ("delete", "remove", "add", "create")
    ]


async def test_groups_are_found_page_by_page(ask):
    ask.person("ann")
    for name in ("b", "a", "cc"):
        await ask("POST", "/groups", {"name": name})
    await ask("POST", "/groups/a/add", {"users": ["ann"]})
    first = await ask("GET", "/groups", limit="2")
    assert [(each["name"], each["members"]) for each in first["results"]] == [("a", 1), ("b", 0)]
    assert (first["count"], first["more"]) == (3, True)
    last = await ask("GET", "/groups", after_id=first["results"][1]["id"])
    assert ([each["name"] for each in last["results"]], last["more"]) == (["cc"], False)
    found = await ask("GET", "/groups", q="C")
    assert ([each["name"] for each in found["results"]], found["count"]) == (["cc"], 1)
    ask.store.delete_user("ann")
    assert (await ask("GET", "/groups/a"))["members"] == 0


async def test_members_are_changed_all_or_none(ask):
    ask.person("ann")
    await ask("POST", "/groups", {"name": "ops"})
    for path, body, status in (
        ("/groups/ops/add", {"users": ["ann", "nobody"]}, 400),
        ("/groups/ops/remove", {"users": ["ann"]}, 400),
        ("/groups/ops/add", {"users": []}, 400),
        ("/groups/ops/add", {"users": ["ann"] * 1001}, 400),
        ("/groups/none/add", {"users": ["ann"]}, 404),
        ("/groups/none/remove", {"users": ["ann"]}, 404),
        ("/groups", {"name": "ops"}, 400),
        ("/groups", {"name": " "}, 400),
    ):
        assert (await ask.refusal("POST", path, body))[0] == status, path
    assert (await ask.refusal("DELETE", "/groups/none"))[0] == 404
    assert (await ask.refusal("GET", "/groups", after_id="none"))[0] == 400
    assert (await ask("GET", "/groups/ops"))["members"] == 0


async def test_the_audit_log_names_the_members_who_came_and_went(ask):
    ask.person("ann"), ask.person("bob")
    await ask("POST", "/groups", {"name": "ops"})
    await ask("POST", "/groups/ops/add", {"users": ["ann", "bob"]})
    await ask("PATCH", "/users/ann", {"name": "Ann"})
    latest = (await ask("GET", "/audit", limit="2"))["results"]
    assert latest[0]["change"] == "name: - → Ann"
    assert sorted(latest[1]["change"].removeprefix("users: ").split()) == ["ann", "bob"]
