"""Workers reach the writer process by a socket of its user's, at the path of a dead one's, too."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from aibridged.config.options import Settings
from aibridged.config.secret import Secret
from aibridged.daemon.workers.writer_socket import WRITER_SOCKET, connect, has_writer, listen


@pytest.mark.parametrize("name", ["short", "long" * 50])
def test_workers_connect(tmp_path: Path, name):
    state_dir = tmp_path / name
    state_dir.mkdir()
    with pytest.raises(FileNotFoundError):
        connect(state_dir)
    listen(state_dir).close()  # as if it had been killed
    with pytest.raises(ConnectionRefusedError):
        connect(state_dir)
    with listen(state_dir) as listening, connect(state_dir) as connection:
        assert stat.S_IMODE((state_dir / WRITER_SOCKET).stat().st_mode) == 0o600
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            accepted.send(b"x")
            connection.setblocking(True)
            assert connection.recv(1) == b"x"


def test_sqlite_has_a_writer_where_there_are_several_workers():
    assert has_writer(Settings(), 2)
    assert not has_writer(Settings(), 1)
    assert not has_writer(replace(Settings(), postgres_url=Secret("postgres://x")), 2)
