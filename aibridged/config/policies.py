"""Settings of the policies: what the members of groups may use."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from aibridged.config import kinds, sources
from aibridged.config.declare import Group
from aibridged.config.entries import Entry, EntryList
from aibridged.config.globs import matcher
from aibridged.config.kinds import Kind
from aibridged.config.options import PolicySettings, Settings
from aibridged.config.policy_limits import BUDGET, SESSION
from aibridged.config.resolution import Mistake

MAX_CLAUDE_CODE = 256 * 1024
"""Bytes of the managed settings of one policy."""

_MAX_ITEM = 512  # characters; of a model's name, too
# Claude Code starts with the latest Opus or Sonnet, depending on its version.
_DEFAULTS = ("claude-opus-4-8", "claude-sonnet-4-6")
_FAMILIES = ("opus", "sonnet")
# Its short names for the latest model of a family, and such a model.
_SHORT = {
    "haiku": "claude-haiku-4-5",
    "opus": "claude-opus-4-8",
    "sonnet": "claude-sonnet-4-6",
}


def _items(text: str) -> tuple[str, ...]:
    found = kinds.items(text)
    for item in found:
        if len(item) > _MAX_ITEM or not item.isprintable():
            raise ValueError(f"an item is longer than {_MAX_ITEM} characters, or not printable")
    return found


def _groups(text: str) -> tuple[str, ...]:
    found = _items(text)
    if not found:
        raise ValueError("is empty, so that the policy would fit nobody")
    return found


def _managed_settings(text: str) -> str:
    """The mapping as canonical JSON: sorted keys at every level, and no blanks."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
        canonical = json.dumps(
            _as_in_javascript(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        size = len(canonical.encode())
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except _NotAllowedError:
        raise
    except ValueError:
        raise ValueError("is not a mapping: in a variable, it is a JSON object") from None
    if not isinstance(value, dict):
        raise ValueError("is not a mapping")
    if size > MAX_CLAUDE_CODE:
        raise ValueError(f"is larger than {MAX_CLAUDE_CODE >> 10} KiB")
    return canonical


class _NotAllowedError(ValueError):
    """JSON that different programs read differently."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NotAllowedError("has a key twice in one mapping")
    return found


def _no_number(name: str) -> None:
    raise _NotAllowedError(f"contains {name}, which JSON doesn't have")


def _as_in_javascript(value: Any) -> Any:
    """Whole numbers without a fraction, as the client writes them when it checks the sum."""
    if isinstance(value, dict):
        return {key: _as_in_javascript(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_in_javascript(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(canonical: str) -> str:
    """The names of the settings: what they are set to may be secret."""
    names = ", ".join(json.loads(canonical))
    return f"{{{names}}}"


_ITEMS = Kind("LIST", _items, lambda items: kinds.joined(items) or "none", many=True)

POLICIES = EntryList(
    name="policies",
    noun="policy",
    plural="policies",
    word="POLICY",
    first="groups: […]",
    group=Group.IDENTITY,
    fields={
        "groups": Kind("LIST", _groups, kinds.joined, many=True),
        "models": _ITEMS,
        "providers": _ITEMS,
        "allow_byok": kinds.BOOL,
        "rate_limit": kinds.POSITIVE,
        "max_concurrency": kinds.POSITIVE,
        "mcp_servers": _ITEMS,
        "claude_code": Kind("MAPPING", _managed_settings, _shown, tree=True),
        "session": SESSION,
        "budget": BUDGET,
    },
    explicit=True,
)


def read_list(
    entries: Sequence[Entry], known: Mapping[str, Collection[str]], mistakes: list[Mistake]
) -> tuple[PolicySettings, ...]:
    """The policies in their order; each invalid or unreachable one is reported as a mistake.

    `known` has the names of providers and MCP servers, by the field that they are for, as far as
    they can be told.
    """
    before = len(mistakes)
    policies = []
    for entry in entries:
        read = sources.read_fields(entry.fields, POLICIES.fields, mistakes)
        policies.append(PolicySettings(**read))
        mistakes += _unknown_names(entry, policies[-1], known)
        mistakes += _ungranted_targets(entry, policies[-1])
    if len(mistakes) == before:
        mistakes += _unreachable(entries, policies)
    return tuple(policies)


def _unknown_names(
    entry: Entry, policy: PolicySettings, known: Mapping[str, Collection[str]]
) -> Iterator[Mistake]:
    for field, names in known.items():
        for name in getattr(policy, field) or ():
            if name not in names:
                listed = ", ".join(sorted(names)) or "none"
                what = f"there is no {field.removesuffix('s').replace('_', ' ')} {name!r}"
                yield Mistake(entry.fields[field].where, what, f"There are: {listed}.")


def _ungranted_targets(entry: Entry, policy: PolicySettings) -> Iterator[Mistake]:
    """Models that the budget switches to, and the policy doesn't grant."""
    if policy.budget is None or policy.models is None:
        return
    is_granted = matcher(policy.models)
    for target in dict.fromkeys(target for _, target in policy.budget.models):
        if not is_granted(target):
            what = f"the budget switches to {target}, which the policy does not grant"
            yield Mistake(entry.fields["budget"].where, what, "Add it to the policy's models.")


def _unreachable(entries: Sequence[Entry], policies: Sequence[PolicySettings]) -> Iterator[Mistake]:
    """Policies that never count, since an earlier one fits everybody whom they fit."""
    seen: set[str] = set()
    for number, (entry, policy) in enumerate(zip(entries, policies, strict=True)):
        earlier = [each for each in range(number) if policies[each].groups is None]
        if earlier:
            where = entries[earlier[0]].where
            what = f"this policy never counts: the one at {where} has no groups, and fits everybody"
            yield Mistake(entry.where, what, "Move the one without groups to the end.")
        elif policy.groups is not None and seen.issuperset(policy.groups):
            what = "this policy never counts: earlier ones have all of its groups"
            yield Mistake(entry.where, what, "Join them, or change their order.")
        seen.update(policy.groups or ())


def warnings(settings: Settings) -> Iterator[str]:
    """What works, and is probably not intended."""
    if settings.auth != "token" and any(each.groups is not None for each in settings.policies):
        yield (
            f"With --aibridge-auth {settings.auth} nobody is known to be in a group: policies with "
            "groups fit nobody."
        )
    for number, policy in enumerate(settings.policies, 1):
        if policy.claude_code is not None and _leaves_out_default(policy):
            yield (
                f"Policy {number} leaves out the model that Claude Code starts with, and its "
                "requests would be refused: set availableModels and enforceAvailableModels in its "
                "claude_code, or model."
            )
        elif (model := _not_granted(policy)) is not None:
            yield (
                f"Policy {number} has Claude Code start with the model {model}, which it does not "
                "grant: its requests would be refused."
            )


def _not_granted(policy: PolicySettings) -> str | None:
    """The model of the managed settings, if it is known not to be among those granted."""
    model = json.loads(policy.claude_code or "{}").get("model")
    if not isinstance(model, str) or policy.models is None:
        return None
    name = model.removesuffix("[1m]")
    if name in _SHORT:
        is_granted = any(name in glob for glob in policy.models)
    else:
        is_granted = not name.startswith("claude-")
    return None if is_granted or matcher(policy.models)(_SHORT.get(name, name)) else model


def _leaves_out_default(policy: PolicySettings) -> bool:
    """Whether the model that Claude Code starts with may be one that isn't granted or available."""
    managed = json.loads(policy.claude_code or "{}")
    if managed.get("enforceAvailableModels") is True or "model" in managed:
        return False
    if policy.models is not None and not all(map(matcher(policy.models), _DEFAULTS)):
        return True
    available = managed.get("availableModels")
    if not isinstance(available, list):
        return False
    return not all(any(family in str(name) for name in available) for family in _FAMILIES)
