"""Report of the effective settings, as text and as JSON, with secrets masked."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from aibridged.config.resolution import Mistake, Resolution, Value

_WIDTH = 80


def as_text(resolution: Resolution) -> str:
    """Every value with its source, the routes, then the warnings, then the mistakes."""
    parts = [_values(group, list(values)) for group, values in _by_group(resolution.values)]
    if resolution.settings is not None:
        parts.append(_routes(resolution))
    return "\n\n".join(part for part in (*parts, problems(resolution)) if part)


def problems(resolution: Resolution) -> str:
    """The warnings and the mistakes, in the words that `serve` and `check-config` share."""
    parts = [_wrapped(f"Warning: {warning}", "  ") for warning in resolution.warnings]
    parts += [_mistake(mistake) for mistake in resolution.mistakes]
    count = len(resolution.mistakes)
    if count:
        parts.append(f"{count} mistake{'s' if count > 1 else ''}: nothing can be served.")
    return "\n\n".join(parts)


def as_data(resolution: Resolution) -> dict[str, Any]:
    """The same for programs, ready to be encoded as JSON."""
    return {
        "valid": resolution.settings is not None,
        "settings": [
            {
                "name": value.name,
                "value": value.data,
                "source": {"kind": value.source.kind, "name": value.source.name or None},
            }
            for value in resolution.values
        ],
        "providers": [
            {
                "route": f"/{provider.name}",
                "type": provider.type,
                "base_url": provider.base_url,
                "key": str(provider.key) if provider.key else None,
            }
            for provider in (resolution.settings.providers if resolution.settings else ())
        ],
        "warnings": list(resolution.warnings),
        "mistakes": [
            {"where": mistake.where, "what": mistake.what, "remedy": mistake.remedy}
            for mistake in resolution.mistakes
        ],
    }


def _by_group(values: Sequence[Value]) -> Iterator[tuple[str, Iterator[Value]]]:
    order = list(dict.fromkeys(value.group for value in values))
    return groupby(sorted(values, key=lambda value: order.index(value.group)), lambda v: v.group)


def _values(group: str, values: Sequence[Value]) -> str:
    lines = [group]
    for value in values:
        line = f"  {value.name:<33}  {value.text or '-'}"
        if value.source.kind == "default":
            lines.append(f"{line:<66} default")
        else:
            lines += [line, f"      from {value.source}"]
    return "\n".join(lines)


def _routes(resolution: Resolution) -> str:
    lines = ["Routes"]
    providers = resolution.settings.providers if resolution.settings else ()
    width = max((len(provider.name) for provider in providers), default=0)
    for provider in providers:
        key = f"key {provider.key}" if provider.key else "no key"
        lines.append(f"  /{provider.name:<{width}}  {provider.type}, {provider.base_url}, {key}")
    return "\n".join(lines)


def sentence(mistake: Mistake) -> str:
    """A mistake on one line, for the log."""
    return f"{mistake.where}: {mistake.what}. {mistake.remedy}"


def _mistake(mistake: Mistake) -> str:
    what = _wrapped(f"{mistake.where}: {mistake.what}.", "  ")
    return f"{what}\n{_wrapped(mistake.remedy, '    ', first='  → ')}"


def _wrapped(text: str, indent: str, first: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
