"""Where a system keeps a user's configuration, and files that are replaced as a whole."""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from .clock import SystemClock

_OURS = "aibridged"
_IS_WINDOWS = os.name == "nt"
# On Windows a file can't be replaced or removed in the moment in which another process reads it.
_TRIES = 20
_PAUSE_S = 0.05


def config_folder(environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path:
    """The folder of aibridged's own files in the user's configuration."""
    if platform == "win32":
        return Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / _OURS
    if platform == "darwin":
        return home / "Library" / "Application Support" / _OURS
    return xdg_config(environ, home) / _OURS


def xdg_config(environ: Mapping[str, str], home: Path) -> Path:
    """XDG_CONFIG_HOME where it is set and absolute, as its specification wants it."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    return Path(folder) if os.path.isabs(folder) else home / ".config"


def private_folder(path: Path) -> Path:
    """The folder, made if need be, which its owner alone can open."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.stat().st_mode & 0o077:
        # Windows goes by the access list of the user's profile, and changes nothing here.
        path.chmod(0o700)
    return path


def replace_file(path: Path, data: bytes, *, mode: int | None = 0o600) -> None:
    """Write a file so that a reader sees the old one or the new one, whole.

    `mode` None is that of a new file of this user's.

    Raises:
        OSError: it can't be written; the old file is still there.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is None:
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        temporary.chmod(mode)
        _insist(lambda: temporary.replace(path))
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        OSError: it can't be removed.
    """
    with suppress(FileNotFoundError):
        _insist(path.unlink)


def _insist(act: Callable[[], object]) -> None:
    for left in range(_TRIES, 0, -1):
        try:
            act()
        except PermissionError:
            if left == 1 or not _IS_WINDOWS:
                raise
            SystemClock().sleep(_PAUSE_S)
        else:
            return
