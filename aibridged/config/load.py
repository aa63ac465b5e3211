"""Loads the settings with precedence: flag, environment, YAML file, default.

Secrets are not allowed in the file: systemd's credentials take its place.

Nothing here raises on an operator's mistake: mistakes are collected, so that one run of
`check-config` shows all of them.
"""

from collections.abc import Collection, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from aibridged.config import (
    almost_variables,
    check,
    entries,
    mcp_servers,
    policies,
    prices,
    providers,
    proxy_variables,
    sources,
    telemetry,
    unknown,
)
from aibridged.config.almost_variables import CONFIG_VARIABLE
from aibridged.config.declare import Option
from aibridged.config.entries import Entry
from aibridged.config.lists import LISTS
from aibridged.config.mcp_servers import MCP_SERVERS
from aibridged.config.options import OPTIONS, Settings, routed
from aibridged.config.policies import POLICIES
from aibridged.config.prices import PRICES
from aibridged.config.providers import PROVIDERS
from aibridged.config.resolution import DEFAULT, Mistake, Resolution, Source, Value
from aibridged.config.sources import Given
from aibridged.config.telemetry import TELEMETRY

CONFIG_FLAG = "--config"
_IN_CONTAINER = "container"
"""The variable that container managers and images set, by the convention of systemd."""


def resolve(
    flags: Mapping[str, str], environ: Mapping[str, str], only: Collection[str] | None = None
) -> Resolution:
    """Load the settings from the flags (`{"--http-address": ":4001"}`) and all other sources.

    With `only` the values of settings that aren't named there may be wrong: a command for users
    need not be able to read the providers' keys.
    """
    mistakes: list[Mistake] = []
    of_others: list[Mistake] = mistakes if only is None else []

    overlooked: dict[str, list[Mistake]] = {}

    def noted(name: str) -> list[Mistake]:
        needed = only is None or name in only
        return mistakes if needed else overlooked.setdefault(name, [])

    file_settings, file_lists = _read_file(flags, environ, mistakes)
    given: dict[str, Given] = {}
    for option in OPTIONS:
        found = _find(option, flags, environ, file_settings, noted(option.name))
        if found is not None:
            given[option.name] = found
    values = {
        option.name: _read(option, given.get(option.name), noted(option.name)) for option in OPTIONS
    }
    of_others += chain.from_iterable(overlooked.values())
    found_lists = {
        declared.name: entries.from_environment(declared, environ, of_others)
        or file_lists.get(declared.name, [])
        for declared in LISTS
    }
    listed = providers.read_list(found_lists[PROVIDERS.name], of_others)
    values["providers"] = providers.effective(listed, values, given, of_others)
    values["mcp_servers"] = mcp_servers.read_list(found_lists[MCP_SERVERS.name], of_others)
    # Those with mistakes have no names here.
    of_providers = None if of_others else {each.name for each in values["providers"]}
    values["policies"] = policies.read_list(
        found_lists[POLICIES.name],
        {}
        if of_providers is None
        else {
            "providers": of_providers,
            "mcp_servers": {each.id for each in values["mcp_servers"]},
        },
        noted("policies"),
    )
    values["prices"] = prices.read_list(found_lists[PRICES.name], of_providers, noted("prices"))
    values["telemetry"] = telemetry.read_list(found_lists[TELEMETRY.name], of_others)
    outbound = proxy_variables.read(values["upstream_proxy"], environ, of_others)
    settings = routed(Settings(**values), outbound)
    mistakes += unknown.unknown_variables(environ)
    mistakes += check.mistakes(settings, given, only)
    return Resolution(
        settings=None if mistakes else settings,
        values=_shown(given, found_lists),
        mistakes=mistakes,
        warnings=[
            *check.warnings(
                settings,
                given,
                [each.settings for each in listed],
                in_container=bool(environ.get(_IN_CONTAINER)),
                complete=not mistakes,
            ),
            *almost_variables.hints(environ),
            *almost_variables.unread_keys(settings, environ),
        ],
        overlooked=overlooked,
    )


def _read_file(
    flags: Mapping[str, str], environ: Mapping[str, str], mistakes: list[Mistake]
) -> tuple[Mapping[str, Given], Mapping[str, list[Entry]]]:
    name = flags.get(CONFIG_FLAG) or environ.get(CONFIG_VARIABLE)
    if not name:
        return {}, {}
    # Most daemons run without a file, and needn't import YAML.
    from aibridged.config import yaml_file

    file = yaml_file.read(Path(name))
    mistakes += file.mistakes
    return file.settings, file.lists


def _find(
    option: Option,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    file: Mapping[str, Given],
    mistakes: list[Mistake],
) -> Given | None:
    on_command_line = [
        Given(flags[name], name, Source("flag", name)) for name in option.flags if name in flags
    ]
    if on_command_line:
        return sources.the_one(on_command_line, option.kind, mistakes)
    if option.secret:
        variable = sources.secret_variables(option.envs, environ, option.kind, mistakes)
        variable = variable or sources.credential(option.credential, environ, mistakes)
    else:
        variable = sources.the_one(sources.variables(option.envs, environ), option.kind, mistakes)
    if variable is not None:
        return variable
    in_file = [file[name] for name in option.yamls if name in file]
    if in_file or option.fallback_env is None:
        return sources.the_one(in_file, option.kind, mistakes)
    return next(iter(sources.variables((option.fallback_env,), environ)), None)


def _read(option: Option, given: Given | None, mistakes: list[Mistake]) -> Any:
    """Parse a value; the default stands in for an invalid one, so that the checks can go on."""
    default = option.kind.parse(option.default)
    if given is None:
        return default
    shown = f": the default is {option.default}" if option.default else ""
    before = len(mistakes)
    value = sources.read(given, option.kind, f"Correct or remove it{shown}.", mistakes)
    return default if len(mistakes) > before else value


def _shown(given: Mapping[str, Given], found_lists: Mapping[str, list[Entry]]) -> list[Value]:
    """Every value that has an effect, in the order of the table, the lists last."""
    singles = {row.name for kind in providers.SINGLES for row in providers.single_settings(kind)}
    values = []
    for option in OPTIONS:
        if found_lists[PROVIDERS.name] and option.name in singles and option.name not in given:
            continue
        default = Given(option.default, option.flag, DEFAULT)
        found = given.get(option.name, default)
        values.append(sources.as_value(option.name, option.group, found, option.kind))
    for declared in LISTS:
        values += entries.values_of(declared, found_lists[declared.name])
    return values
