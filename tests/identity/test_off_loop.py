import threading

import pytest

from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.off_loop import OffLoop


async def test_a_database_that_hangs_is_given_up():
    off_loop, go_on = OffLoop("sign-ins", timeout=0.02), threading.Event()
    try:
        with pytest.raises(AuthUnavailableError, match=r"longer than 0\.02 s"):
            await off_loop(go_on.wait)
    finally:
        go_on.set()
        await off_loop.close()


async def test_results_and_errors_come_back():
    off_loop = OffLoop("sign-ins")
    assert await off_loop(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await off_loop(divmod, 7, 0)
    await off_loop.close()
