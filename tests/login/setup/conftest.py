"""A machine to set agents up on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aibridged.login.setup.target import Target

URL = "https://gateway.example.com"


@pytest.fixture
def target(tmp_path: Path) -> Callable[..., Target]:
    """Makes a target on a Linux machine whose home is the test's folder."""

    def target(**changes: Any) -> Target:
        return Target(
            **{
                "url": URL,
                "command": ("/opt/my bin/aibridged", "access-token", "--url", URL),
                "environ": {},
                "home": tmp_path,
                "platform": "linux",
                **changes,
            }
        )

    return target
