"""Files that appear whole or not at all: written beside their place, and then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aibridged.config.private_file import flush, make_private
from aibridged.records.database import BESIDE, DatabaseError


def check_target(target: Path, *, force: bool) -> None:
    """Check what can be checked before the work.

    Raises:
        DatabaseError: no such file can be made, or there is one that isn't to be replaced.
    """
    if target.is_dir():
        raise DatabaseError(f"{target} is a directory: name a file in it.")
    if not target.parent.is_dir():
        raise DatabaseError(f"The directory {target.parent} does not exist: create it first.")
    if os.path.lexists(target) and not force:
        raise _exists(target)


@contextmanager
def part_beside(target: Path) -> Iterator[Path]:
    """A private, empty file beside the target, which is gone at the end unless it was renamed."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        os.close(make_private(part))
    except OSError as error:
        raise DatabaseError(
            f"Nothing can be written in {target.parent}: {error.strerror}."
        ) from None
    try:
        yield part
    finally:
        for suffix in ("", *BESIDE):
            with suppress(OSError):
                os.unlink(f"{part}{suffix}")


def put(part: Path, target: Path, *, force: bool) -> None:
    """Give the file its name, at once, durably.

    Raises:
        DatabaseError: there is such a file, and it isn't to be replaced, or it can't be written.
    """
    try:
        if force:
            os.replace(part, target)
        else:
            try:
                os.link(part, target)
            except FileExistsError:
                raise _exists(target) from None
            except OSError:  # a file system without hard links
                if os.path.lexists(target):
                    raise _exists(target) from None
                os.rename(part, target)
        flush(target.parent)
    except OSError as error:
        raise DatabaseError(f"{target} can't be written: {error.strerror}.") from None


def _exists(target: Path) -> DatabaseError:
    return DatabaseError(f"{target} exists: choose another file, or replace it with --force.")
