"""What a policy says of sessions that run away, and of budgets that run out: mappings in it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from aibridged.config.kinds import Kind
from aibridged.config.options import PolicySettings, SessionSettings, SoftBudgetSettings

MAX_MODELS = 100
"""Entries of a map of models, each of which is compared with a model's name."""
_MAX_NAME = 512  # characters of a model's name, or a glob
_MAX_SHOWN = 64  # characters of an unknown name
_MAX_NUMBER = 10**12
_NANOS = 10**9
_MAX_DOLLARS = 1_000_000
_PERCENT = re.compile(r"([0-9]{1,3})\s*%?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,13}", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)

Fields = Mapping[str, Callable[[Any], Any]]


def _text(value: Any) -> str:
    """A scalar as it was written."""
    if isinstance(value, bool) or value is None or not isinstance(value, str | int | Decimal):
        raise ValueError("is not a value")
    return str(value).strip()


def _action(value: Any) -> bool:
    match _text(value):
        case "end":
            return True
        case "warn":
            return False
        case other:
            raise ValueError(f"{other!r} is none of warn, end")


def _dollars(value: Any) -> int:
    text = _text(value)
    amount = Decimal(text) if _AMOUNT.fullmatch(text) else Decimal(0)
    if not amount:
        raise ValueError(f"{text!r} is not an amount of dollars like 25 or 2.50")
    if amount > _MAX_DOLLARS:
        raise ValueError(f"{text} is more than {_MAX_DOLLARS} dollars")
    return int(amount * _NANOS)


def _number(least: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        text = _text(value)
        if not _NUMBER.fullmatch(text) or int(text) > _MAX_NUMBER:
            raise ValueError(f"{text!r} is not an integer from {least} to {_MAX_NUMBER}")
        if int(text) < least:
            raise ValueError(f"{text} is less than {least}")
        return int(text)

    return parse


def _detector(least: int) -> Callable[[Any], int | None]:
    """A number at which a loop is noticed; 0 switches the detector off."""
    parse = _number(least)
    return lambda value: None if _text(value) == "0" else parse(value)


def _percent(value: Any) -> int:
    found = _PERCENT.fullmatch(_text(value))
    if found is None or not 1 <= int(found[1]) <= 100:
        raise ValueError(f"{_text(value)!r} is not a share like 80%, from 1% to 100%")
    return int(found[1])


def _models(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError("is not a mapping from models (globs) to models")
    if not 0 < len(value) <= MAX_MODELS:
        raise ValueError(f"has {len(value)} entries: from 1 to {MAX_MODELS} are read")
    for name in (*value, *value.values()):
        if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
            raise ValueError(f"a name is empty, not printable, or over {_MAX_NAME} characters")
    for target in value.values():
        if "*" in target or "?" in target:
            raise ValueError(f"{target!r} is a glob, and no model that can be asked for")
        if not target.isascii():
            raise ValueError(f"{target!r} is not ASCII, as the names of models are")
    return tuple(value.items())


_SESSION: Fields = {
    "action": _action,
    "max_cost": _dollars,
    "max_requests": _number(1),
    "repeated_calls": _detector(3),
    "compactions": _detector(2),
    "tokens_per_minute": _detector(1),
}
_BUDGET: Fields = {"warn_at": _percent, "switch_at": _percent, "models": _models}


def _read(text: str, fields: Fields) -> dict[str, Any]:
    """The fields of a mapping; ValueError names the one that is wrong."""
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_float=Decimal)
    except (json.JSONDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError("is not a mapping: in a variable, it is a JSON object")
    read = {}
    for name, value in found.items():
        if name not in fields:
            raise ValueError(f"there is no {name[:_MAX_SHOWN]!r} in it, but {', '.join(fields)}")
        try:
            read[name] = fields[name](value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return read


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("has a key twice in one mapping")
    return found


def _session(text: str) -> SessionSettings:
    read = _read(text, _SESSION)
    return SessionSettings(ends=read.pop("action", False), **read)


def _budget(text: str) -> SoftBudgetSettings:
    read = SoftBudgetSettings(**_read(text, _BUDGET))
    if read.warn_at is None and read.switch_at is None:
        raise ValueError("says neither warn_at nor switch_at, so that it would do nothing")
    if (read.switch_at is None) != (not read.models):
        raise ValueError("needs both switch_at and models to switch models, or none of them")
    return read


def session_fields(session: SessionSettings) -> dict[str, Any]:
    """The settings as they are written, with the defaults; what is off is null."""
    cost = session.max_cost
    return {
        "action": "end" if session.ends else "warn",
        "max_cost": None if cost is None else f"{Decimal(cost) / _NANOS:f}",
        "max_requests": session.max_requests,
        "repeated_calls": session.repeated_calls,
        "compactions": session.compactions,
        "tokens_per_minute": session.tokens_per_minute,
    }


def budget_fields(budget: SoftBudgetSettings) -> dict[str, Any]:
    """The settings as they are written; what is off is null."""
    return {
        "warn_at": None if budget.warn_at is None else f"{budget.warn_at}%",
        "switch_at": None if budget.switch_at is None else f"{budget.switch_at}%",
        "models": dict(budget.models) or None,
    }


def policy_fields(policy: PolicySettings) -> dict[str, Any]:
    """A policy as JSON has it: what is null restricts nothing."""
    managed, session, budget = policy.claude_code, policy.session, policy.budget
    return asdict(policy) | {
        "claude_code": None if managed is None else json.loads(managed),
        "session": None if session is None else session_fields(session),
        "budget": None if budget is None else budget_fields(budget),
    }


def in_words(fields: Mapping[str, Any]) -> str:
    """Fields that are set, on one line: `action end, max_cost 25`."""
    return ", ".join(_words(fields))


def _words(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from (f"{one} -> {other}" for one, other in value.items())
        elif value is not None:
            yield f"{name} {value}"


SESSION = Kind("MAPPING", _session, lambda session: in_words(session_fields(session)), tree=True)
BUDGET = Kind("MAPPING", _budget, lambda budget: in_words(budget_fields(budget)), tree=True)
