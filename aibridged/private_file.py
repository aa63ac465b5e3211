"""Files in the state directory that hold secrets or prompts: for the daemon's user alone."""

import os
from pathlib import Path


def make_private(path: Path) -> int:
    """Make the file, readable for its owner alone; returns its descriptor, to write to.

    What root makes belongs to the directory's owner: commands that root types leave files which a
    daemon with a user of its own has to open.

    Raises:
        OSError: it can't be made; FileExistsError where it is there.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    if os.geteuid() == 0:
        directory = path.parent.stat()
        os.fchown(descriptor, directory.st_uid, directory.st_gid)
    return descriptor
