"""Settings that are mappings: a mapping in the YAML file, a JSON object in a flag or variable.

Both arrive as the text of a JSON object, and become pairs in the order in which they were written.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aibridged.config.kinds import Kind

Pairs = tuple[tuple[str, str], ...]
ListPairs = tuple[tuple[str, tuple[str, ...]], ...]

# What the gateway itself sends to the authorization endpoint.
_RESERVED = frozenset(
    {
        "client_id",
        "client_secret",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "request",
        "request_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
    }
)


def as_json(mapping: Mapping[str, Any]) -> str:
    """The text of a mapping, as one would write it into a variable."""
    return json.dumps(mapping, ensure_ascii=False)


def _object(text: str, example: str) -> dict[str, Any]:
    wrong = f"is not a JSON object like {example}"
    try:
        pairs = json.loads(text or "{}", object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(wrong) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{wrong} (at character {error.pos + 1})") from None
    if not isinstance(pairs, dict):
        raise ValueError(wrong)
    return pairs


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"contains {name!r} twice")
        found[name] = value
    return found


def _strings(text: str) -> Pairs:
    found = _object(text, '{"name": "value"}')
    for name, value in found.items():
        if not isinstance(value, str):
            raise ValueError(f"{name!r} is not mapped to a string")
    return tuple(found.items())


def _lists(text: str) -> ListPairs:
    found = _object(text, '{"name": ["value"]}')
    pairs = []
    for name, value in found.items():
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise ValueError(f"{name!r} is not mapped to a list of strings")
        pairs.append((name, tuple(each for each in values if each)))
    return tuple(pairs)


def _url_parameters(text: str) -> Pairs:
    pairs = _strings(text)
    for name, _ in pairs:
        if name in _RESERVED:
            raise ValueError(f"{name!r} is a parameter that the gateway sets itself")
    return pairs


def _show(pairs: Iterable[tuple[str, Any]]) -> str:
    return as_json(dict(pairs))


STRINGS: Kind[Pairs] = Kind("JSON", _strings, _show, mapping=True)
LISTS: Kind[ListPairs] = Kind("JSON", _lists, _show, mapping=True)
"""Each name with a list of strings; a single string is a list of one."""
URL_PARAMETERS: Kind[Pairs] = Kind("JSON", _url_parameters, _show, mapping=True)
"""Parameters of the authorization request, beside those that the protocol has."""
