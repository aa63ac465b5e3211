"""The suite's PostgreSQL server ends with the run that started it, even with one that is killed."""

import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

RUN = """
import runpy, sys
from pathlib import Path

server = runpy.run_path(sys.argv[1])
server["PostgresServer"](server["find_postgres"](), Path(sys.argv[2])).start()
print("started", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of a foreign end")
def test_it_ends_with_a_run_that_is_killed(postgres_server):
    server = Path(__file__).with_name("postgres_server.py")
    prefix = "aibridged-postgres-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir="/tmp", ignore_cleanup_errors=True) as made:
        with subprocess.Popen(
            [sys.executable, "-c", RUN, server, made],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as run:
            assert run.stdout.readline() == b"started\n"
            ended = os.pidfd_open(int(Path(made, "data/postmaster.pid").read_text().split()[0]))
            run.kill()
        try:
            assert select.select([ended], [], [], 20)[0]
        finally:
            os.close(ended)
