"""The daemon runs on uvloop, whose transports are others: the tunnels, and the way
through a proxy, once more on it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

RUN = """
import asyncio, sys
import pytest, uvloop
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_tunnels_on_uvloop():
    pytest.importorskip("uvloop")
    tests = [
        str(Path(__file__).with_name("test_tunnels.py")),
        str(Path(__file__).parents[2] / "transport" / "test_upstream_proxy.py"),
    ]
    # What is refused is decided before there is a transport.
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "not refuse and not silence and not slow and not traffic",
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *tests, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
