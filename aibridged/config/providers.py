"""Settings of the providers: those of the list, and the default ones."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from aibridged.config import kinds, sources
from aibridged.config.declare import Group, Option
from aibridged.config.entries import Entry, EntryList
from aibridged.config.kinds import Kind
from aibridged.config.options import OPTIONS, ProviderSettings, ProviderType, StreamOptions
from aibridged.config.resolution import Mistake
from aibridged.config.sources import Given

TYPES: tuple[ProviderType, ...] = get_args(ProviderType)
SINGLES: tuple[ProviderType, ...] = ("anthropic", "openai")
"""Types with settings of their own, beside the list."""
OWN_KEY_ONLY: frozenset[ProviderType] = frozenset({"copilot"})
"""Types without an organisation's key: each caller brings their own."""
COPILOT_PLANS: tuple[ProviderSettings, ...] = tuple(
    ProviderSettings("copilot", name, None, f"https://api.{plan}.githubcopilot.com")
    for name, plan in (
        ("copilot", "individual"),
        ("copilot-business", "business"),
        ("copilot-enterprise", "enterprise"),
    )
)
"""GitHub Copilot's plans, each with its host. The names are those of Coder's AI Bridge."""
RESERVED = frozenset(
    {
        "api",
        "audit",
        "healthz",
        "readyz",
        "interceptions",
        "sessions",
        "models",
        "clients",
        "providers",
        "usage",
        "budgets",
        "find",
        "groups",
        "initiators",
        "live",
        "me",
        "overview",
        "policies",
        "settings",
        "status",
        "tokens",
        "users",
        "proxy",
        # Of sign-in, of what the gateway tells its users, and of paths without a provider's name.
        "device",
        "managed",
        "oauth",
        "ui",
        "v1",
    }
)

_ANY_TYPE = f"{', '.join(TYPES[:-1])} or {TYPES[-1]}"
_NAME_PATTERN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _type(text: str) -> ProviderType:
    for provider_type in TYPES:
        if text == provider_type:
            return provider_type
    raise ValueError(f"{text!r} is not a type of provider ({_ANY_TYPE})")


def _name(text: str) -> str:
    if not _NAME_PATTERN.fullmatch(text):
        raise ValueError(f"{text!r} is not a name like my-openai (a-z, 0-9, single dashes)")
    if text in RESERVED:
        raise ValueError(f"{text!r} is the name of one of the gateway's own routes")
    return text


PROVIDERS = EntryList(
    name="providers",
    noun="provider",
    word="PROVIDER",
    first="type: …",
    group=Group.PROVIDERS,
    fields={
        "type": Kind("TYPE", _type),
        "name": Kind("NAME", _name),
        "key": kinds.SECRET,
        "key_file": kinds.PATH,
        "base_url": kinds.BASE_URL,
        "keepalive_timeout": kinds.DURATION,
        "stream_options": kinds.choice(*get_args(StreamOptions)),
    },
)


@dataclass(frozen=True)
class Listed:
    """A valid provider of the list, and the field that it got its name from."""

    settings: ProviderSettings
    where: str


def single_settings(provider_type: ProviderType) -> tuple[Option, Option]:
    """The rows, base URL and key, that declare the provider that is named like its type."""
    rows = {option.name: option for option in OPTIONS}
    return rows[f"{provider_type}_base_url"], rows[f"{provider_type}_key"]


def read_list(entries: Sequence[Entry], mistakes: list[Mistake]) -> list[Listed]:
    """The providers of the list; each invalid one is reported as a mistake."""
    listed: dict[str, Listed] = {}
    for entry in entries:
        provider = _read_entry(entry, mistakes)
        if provider is None:
            continue
        name = provider.settings.name
        if name in listed:
            mistakes.append(
                Mistake(
                    f"{listed[name].where} and {provider.where}",
                    f"two providers have the name {name!r}",
                    "Use a unique name for each provider.",
                )
            )
        listed.setdefault(name, provider)
    return list(listed.values())


def _read_entry(entry: Entry, mistakes: list[Mistake]) -> Listed | None:
    if "type" not in entry.fields:
        remedy = f"Add a type: {_ANY_TYPE}."
        mistakes.append(Mistake(entry.where, "the provider has no type", remedy))
        return None
    before = len(mistakes)
    fields = sources.with_inline_secret(entry.fields, "key", mistakes)
    key = fields.get("key")
    read: dict[str, Any] = {
        field: sources.read(given, PROVIDERS.fields[field], _remedy(field, given), mistakes)
        for field, given in fields.items()
    }
    if len(mistakes) > before:
        return None
    provider_type: ProviderType = read["type"]
    if key is not None and provider_type in OWN_KEY_ONLY:
        what = f"a provider of type {provider_type} takes no key: users bring their own (BYOK)"
        mistakes.append(Mistake(key.where, what, "Remove it."))
        return None
    settings = ProviderSettings(
        provider_type,
        name=read.get("name", provider_type),
        key=read.get("key"),
        base_url=read.get("base_url") or _default_url(provider_type),
        keepalive_timeout=read.get("keepalive_timeout"),
        stream_options=read.get("stream_options", "auto"),
        key_setting=_key_setting(entry, read.get("name", provider_type)),
    )
    return Listed(settings, fields.get("name", fields["type"]).where)


def _remedy(field: str, given: Given) -> str:
    if field == "name" and given.text in RESERVED:
        return "Rename it, and change the base URLs of its clients: they contain the name."
    return "Correct it."


def _key_setting(entry: Entry, name: str) -> str:
    """Where the key of an entry is set: not the file's name, which callers needn't know."""
    if entry.where.startswith(PROVIDERS.prefixes):
        return entry.where.removesuffix("*") + "KEY"
    return f"key_file of the provider {name}"


def _default_url(provider_type: ProviderType) -> str:
    if provider_type not in SINGLES:
        return COPILOT_PLANS[0].base_url
    base_url, _ = single_settings(provider_type)
    return str(base_url.kind.parse(base_url.default))


def is_default(provider: ProviderSettings) -> bool:
    """Whether it is as it would be without any setting: without a key, at the vendor's own URL."""
    if provider.type in OWN_KEY_ONLY:
        urls = {plan.base_url for plan in COPILOT_PLANS}
    else:
        urls = {_default_url(provider.type)}
    return provider.key is None and provider.base_url in urls


def effective(
    listed: Sequence[Listed],
    values: Mapping[str, Any],
    given: Mapping[str, Given],
    mistakes: list[Mistake],
) -> tuple[ProviderSettings, ...]:
    """The list, and the single providers that are set beside it.

    Without a list, all of them are there, and so are Copilot's plans.

    `values` are the settings by field name, `given` those that aren't defaults.
    """
    wheres = {provider.settings.name: provider.where for provider in listed}
    providers = [provider.settings for provider in listed]
    for provider_type in SINGLES:
        base_url, key = single_settings(provider_type)
        set_here = [given[row.name].where for row in (base_url, key) if row.name in given]
        if listed and not set_here:
            continue
        if provider_type in wheres:
            mistakes.append(
                Mistake(
                    f"{wheres[provider_type]} and {' and '.join(set_here)}",
                    f"both configure the provider {provider_type!r}",
                    f"Remove {' and '.join(set_here)}, or rename the other.",
                )
            )
            continue
        providers.append(
            ProviderSettings(
                provider_type,
                provider_type,
                values[key.name],
                values[base_url.name],
                key_setting=key.flag,
            )
        )
    return tuple(providers) if listed else (*providers, *COPILOT_PLANS)
