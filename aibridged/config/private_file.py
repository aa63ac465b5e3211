"""Opens files and directories with secrets or prompts, which only the daemon's user may access.

Symbolic links are never followed, since another user may have created them: the daemon would write
to, or empty, any file that its user may write to.
"""

import errno
import os
import stat
from pathlib import Path

_SYMLINK = "it is a symbolic link, which isn't followed: replace it with the file itself"
_IRREGULAR = "it is not a regular file"
_NO_DIRECTORY = "it is a symbolic link, or not a directory"
_STRANGERS = "it is owned by another user"


def make_private(path: Path) -> int:
    """Create the file, readable by its owner only; returns its descriptor, to write to.

    A file that root creates gets the directory's owner: commands that root runs leave files that a
    daemon with a user of its own has to open.

    Raises:
        OSError: it can't be created; FileExistsError if it exists.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    if os.geteuid() == 0:
        directory = path.parent.stat()
        os.fchown(descriptor, directory.st_uid, directory.st_gid)
    return descriptor


def open_private(path: Path, flags: int) -> int:
    """Open the file as `os.open` does with these flags; a new one is private to its owner.

    Raises:
        OSError: it can't be opened, or isn't a regular file, as `strerror` says.
    """
    try:
        # A pipe without another end must not block.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, _SYMLINK, str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, _IRREGULAR, str(path))
    return descriptor


def check_regular(path: Path) -> None:
    """Check that the path is a regular file, or missing, without opening it.

    Raises:
        OSError: it is something else, as `strerror` says.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        number = errno.ELOOP if stat.S_ISLNK(mode) else errno.EINVAL
        raise OSError(number, _SYMLINK if stat.S_ISLNK(mode) else _IRREGULAR, str(path))


def check_usable(path: Path) -> None:
    """Check that the path is a regular file that may be read and written, without opening it.

    Closing any descriptor of a file releases all the locks that this process has on it, those of
    SQLite on its database included: another process would then take it for one that is not in use.

    Raises:
        OSError: it isn't, as `strerror` says; FileNotFoundError if it is missing.
    """
    check_regular(path)
    path.lstat()
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def make_private_directory(path: Path) -> None:
    """Create the directory and its missing parents, private to its owner whatever the umask.

    Existing directories stay as they are.

    Raises:
        OSError: it can't be created, or isn't a directory.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        try:
            each.mkdir(mode=0o700)
        except FileExistsError:
            continue  # it was created just now, or isn't a directory
        each.chmod(0o700)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def flush(path: Path) -> None:
    """Bring a file to the disk, or a directory: the name of a file in it is durable only then.

    Raises:
        OSError: it can't be flushed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def why_not_writable(directory: Path) -> str | None:
    """Why this process can't create files in the directory, which may be missing; None: it can.

    Nothing is created.
    """
    existing = next(each for each in (directory, *directory.parents) if os.path.lexists(each))
    if not existing.is_dir():
        return f"{existing} is not a directory"
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        return f"{existing} is on a read-only file system"
    if not os.access(existing, os.W_OK | os.X_OK, effective_ids=True):
        return f"no permission to write to {existing}"
    return None


def open_private_directory(path: Path) -> int:
    """Open the directory, for files that only its owner may reach; it is created if missing.

    Raises:
        OSError: it can't be opened, or another user could access its contents.
    """
    make_private_directory(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OSError(error.errno, _NO_DIRECTORY, str(path)) from None
        raise
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise OSError(errno.EPERM, _STRANGERS, str(path))
        if found.st_mode & 0o077:
            os.fchmod(descriptor, 0o700)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
