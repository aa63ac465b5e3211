"""`aibridged login`, `access-token`, `whoami` and `logout` at a gateway."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager


@asynccontextmanager
async def logging_in(url, **variables):
    """`aibridged login` as a process, which waits for its user."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aibridged", "login", url, "--no-browser"),
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_developer_logs_in_from_a_terminal(gateway, browser, command, tmp_path, clock):
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    async with logging_in(gateway.url, **home) as login, asyncio.timeout(30):
        page = ""
        while "user_code=" not in page:
            page = (await login.stdout.readline()).decode()
            assert page, "it has ended"
        code = page.strip().rpartition("=")[2]
        question = await browser.get(page.strip())
        assert "aibridged login" in question.shown
        await browser.confirm(code, "ann")
        said = (await login.stdout.read()).decode()
        assert "Signed in at" in said, said
        assert "ann@example.com" in said
        assert await login.wait() == 0

    token = await command("access-token", **home)
    assert token.status == 0, token.err
    models = await gateway.models({"access_token": token.out.strip()})
    assert models.status == 200
    who = await command("whoami", **home)
    assert "ann" in who.out, who
    out = await command("logout", **home)
    assert out.status == 0, out
    clock.advance(60)  # what is remembered of it
    assert (await gateway.models({"access_token": token.out.strip()})).status == 401
    again = await command("access-token", **home)
    assert again.status != 0
