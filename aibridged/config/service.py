"""Settings of the systemd service on this machine, for commands that have none of their own.

An operator types `aibridged users list` in a shell, where the unit's environment isn't: without
this, the command would look into a database of that person's own. The names are those of
`packaging/systemd`.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from aibridged.config.almost_variables import CONFIG_VARIABLE
from aibridged.config.load import CONFIG_FLAG
from aibridged.config.options import OPTIONS
from aibridged.config.sources import CREDENTIALS_VARIABLE

ROOT = Path("/")

_CONFIG = "etc/aibridged/aibridged.yaml"
_ENVIRONMENT = "etc/aibridged/aibridged.env"
_CREDENTIALS = "etc/aibridged/credentials"
_STATE_DIR = "var/lib/aibridged"

# What says which daemon a command is about.
_PLACES = ("http_address", "state_dir", "postgres_url")


def state_dir() -> Path:
    """The state directory of the service, whether or not it exists."""
    return ROOT / _STATE_DIR


def is_out_of_reach() -> bool:
    """Whether there is a service whose state directory this user can't use."""
    return os.path.lexists(state_dir()) and not _is_usable(state_dir())


def environment(flags: Mapping[str, str], environ: Mapping[str, str]) -> Mapping[str, str] | None:
    """The environment with the service's settings, which all others in it outrank.

    None if flags or variables say already which daemon is meant, or if there is no service whose
    files this user can use.
    """
    if any(map(flags.get, _flags())) or any(map(environ.get, _variables())):
        return None
    if not _is_usable(state_dir()):
        return None
    found = {"STATE_DIRECTORY": str(state_dir())}
    for name, path in (
        (CONFIG_VARIABLE, ROOT / _CONFIG),
        ("CODER_PG_CONNECTION_URL_FILE", ROOT / _CREDENTIALS / "postgres-url"),
        ("CODER_AIBRIDGE_REDIS_URL_FILE", ROOT / _CREDENTIALS / "redis-url"),
    ):
        if path.is_file() and os.access(path, os.R_OK):
            found[name] = str(path)
    return {**found, **_read(ROOT / _ENVIRONMENT), **environ}


def _is_usable(directory: Path) -> bool:
    return directory.is_dir() and os.access(directory, os.R_OK | os.W_OK | os.X_OK)


def _flags() -> list[str]:
    return [CONFIG_FLAG, *(flag for each in OPTIONS if each.name in _PLACES for flag in each.flags)]


def _variables() -> list[str]:
    names = [CONFIG_VARIABLE, "STATE_DIRECTORY", CREDENTIALS_VARIABLE]
    for option in OPTIONS:
        if option.name in _PLACES:
            names += [*option.envs, *(f"{name}_FILE" for name in option.envs if option.secret)]
    return names


def _read(file: Path) -> dict[str, str]:
    """The variables of systemd's EnvironmentFile; none if it can't be read.

    Lines are NAME=VALUE, quoted or not; others are comments, as far as this is concerned.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    found = {}
    for line in text.replace("\\\n", "").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name.isidentifier():
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            found[name] = value
    return found
