"""Mappings: JSON in a variable, a mapping in the file, and in which words they are refused."""

from collections.abc import Callable
from typing import Any

import pytest

from aibridged.config import mappings
from aibridged.config.kinds import Kind
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (mappings.STRINGS, "", ()),
        (mappings.STRINGS, "{}", ()),
        (mappings.STRINGS, '{"b-id": "b", "a": ""}', (("b-id", "b"), ("a", ""))),
        (mappings.LISTS, '{"a": ["x", "y"], "b": "z"}', (("a", ("x", "y")), ("b", ("z",)))),
        (mappings.LISTS, '{"ignored": "", "too": [""]}', (("ignored", ()), ("too", ()))),
        (mappings.URL_PARAMETERS, '{"prompt": "consent"}', (("prompt", "consent"),)),
    ],
)
def test_json_becomes_pairs(kind: Kind[Any], text: str, value: object) -> None:
    assert kind.parse(text) == value
    assert kind.parse(kind.show(kind.parse(text))) == value


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (mappings.STRINGS, "a=b", "not a JSON object"),
        (mappings.STRINGS, '["a"]', "not a JSON object"),
        (mappings.STRINGS, "[" * 100_000, "not a JSON object"),
        (mappings.STRINGS, '{"a": 1}', "'a' is not mapped to a string"),
        (mappings.STRINGS, '{"a": "x", "a": "y"}', "'a' twice"),
        (mappings.LISTS, '{"a": [1]}', "'a' is not mapped to a list"),
        (mappings.URL_PARAMETERS, '{"state": "x"}', "'state' is a parameter that the gateway sets"),
    ],
)
def test_anything_else_is_refused(kind: Kind[Any], text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind.parse(text)


def test_a_file_and_a_variable_say_the_same(resolve: Resolve) -> None:
    from_file = resolve(
        yaml="oidc:\n  groupMapping: {id-1: devs}\n  authURLParams:\n    prompt: login\n"
        "  userRoleMapping:\n    boss: [owner, auditor]\n    temp: ''\n"
    )
    from_environment = resolve(
        environ={
            "CODER_OIDC_GROUP_MAPPING": '{"id-1": "devs"}',
            "CODER_OIDC_AUTH_URL_PARAMS": '{"prompt": "login"}',
            "CODER_OIDC_USER_ROLE_MAPPING": '{"boss": ["owner", "auditor"], "temp": ""}',
        }
    )
    assert from_file.mistakes == from_environment.mistakes == []
    assert from_file.settings == from_environment.settings
    assert from_file.settings is not None
    assert from_file.settings.oidc_user_role_mapping == (
        ("boss", ("owner", "auditor")),
        ("temp", ()),
    )


@pytest.mark.parametrize(
    ("yaml", "where"),
    [
        ("oidc:\n  groupMapping:\n    a: {b: c}\n", "oidc.groupMapping.a"),
        ("oidc:\n  scopes: {}\n", "oidc.scopes"),
        ("oidc:\n  clientID: {}\n", "oidc.clientID"),
    ],
)
def test_a_mapping_in_the_wrong_place_is_named(yaml: str, where: str, resolve: Resolve) -> None:
    [mistake] = resolve(yaml=yaml).mistakes
    assert mistake.where.endswith(where)
    assert mistake.what == "this is not a value"
