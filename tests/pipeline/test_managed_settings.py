"""Managed settings for Claude Code, clause by clause."""

import json
from hashlib import sha256

import pytest
from aiohttp.test_utils import make_mocked_request

from aibridged.config.options import PolicySettings
from aibridged.core.policies import Policies
from aibridged.errors import GatewayError
from aibridged.identity.base import Actor
from aibridged.pipeline.managed_settings import managed_settings

MANAGED = '{"availableModels":["haiku"],"env":{"A":"ä","B":"1"}}'
POLICIES = Policies(
    [
        PolicySettings(("contractors",), claude_code=MANAGED),
        PolicySettings(("bare",), claude_code="{}"),
        PolicySettings(("without",)),
    ]
)
CHECKSUM = "sha256:" + sha256(MANAGED.encode()).hexdigest()


async def ask(*groups, policies=POLICIES, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = make_mocked_request("GET", "/managed/settings", headers=given)
    actor = Actor("1", "ann", groups=groups)
    return await managed_settings(policies).serve(request, actor, "", b"")


async def test_the_settings_of_the_policy_with_their_checksum():
    response = await ask("contractors")
    found = json.loads(response.body)
    assert (response.status, response.content_type) == (200, "application/json")
    assert set(found) == {"uuid", "checksum", "settings"}
    assert found["settings"] == {"availableModels": ["haiku"], "env": {"A": "ä", "B": "1"}}
    canonical = json.dumps(
        found["settings"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert found["checksum"] == CHECKSUM == f"sha256:{sha256(canonical.encode()).hexdigest()}"
    assert response.headers["ETag"] == f'"{CHECKSUM}"'


async def test_they_have_an_id_of_their_own():
    first, again, other = [
        json.loads((await ask(group)).body)["uuid"]
        for group in ("contractors", "contractors", "bare")
    ]
    assert first == again != other


async def test_an_empty_mapping_is_a_policy_and_none_is_none():
    assert json.loads((await ask("bare")).body)["settings"] == {}
    for groups, policies in ((["without"], POLICIES), (["other"], POLICIES), ([], None)):
        with pytest.raises(GatewayError) as raised:
            await ask(*groups, policies=policies)
        assert raised.value.kind.status == 404


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        (f'"{CHECKSUM}"', 304),
        (f'W/"{CHECKSUM}"', 304),
        (f'"x", W/"y" , "{CHECKSUM}"', 304),
        (CHECKSUM, 200),
        ('"sha256:0"', 200),
        ("*", 200),
        ("", 200),
        (", ".join(['"x"'] * 100 + [f'"{CHECKSUM}"']), 200),
    ],
)
async def test_304_only_in_answer_to_its_own_tag(tags, status):
    response = await ask("contractors", If_None_Match=tags)
    assert response.status == status
    assert response.headers["ETag"] == f'"{CHECKSUM}"'
    assert (response.body is None) is (status == 304)
