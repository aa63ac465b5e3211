"""Pages are escaped, confined and complete, or fail."""

import asyncio
import gc
import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from time import thread_time

import pytest
from jinja2 import UndefinedError

from aibridged.clock import SystemClock
from aibridged.identity.base import Actor
from aibridged.transport.time_slices import TimeSlices, Turns
from aibridged.ui.render import Renderer

VALUES = {
    "actor": Actor("1", "ann"),
    "can_sign_out": True,
    "csrf": "c",
    "said": "",
    "title": "A title",
    "message": "x",
    "retry_after": None,
}


@pytest.fixture
def renderer(clock) -> Renderer:
    return Renderer("/base/ui", clock, TimeSlices(Turns(clock), clock))


def test_what_is_shown_is_escaped(renderer):
    hostile = "<script>alert(1)</script>"
    values = {**VALUES, "said": hostile, "title": hostile, "message": hostile}
    body = renderer.html("error.html", values).body.decode()
    assert hostile not in body
    assert body.count("&lt;script&gt;") >= 3


def test_a_value_that_is_missing_is_no_empty_text(renderer):
    with pytest.raises(UndefinedError):
        renderer.html("error.html", {name: VALUES[name] for name in VALUES if name != "said"})


def test_links_are_below_the_root_as_browsers_have_it(renderer):
    body = renderer.html("error.html", VALUES).body.decode()
    for path in re.findall(r'(?:href|src|action)="([^"#]+)"', body):
        assert path.startswith("/base/ui/"), path
    assert renderer.redirect("/me").headers["Location"] == "/base/ui/me"


def test_no_script_or_style_is_within_a_page(renderer):
    policy = renderer.html("error.html", VALUES).headers["Content-Security-Policy"]
    assert "script-src 'self'; " in policy
    assert "style-src 'self'; " in policy
    for folder in (files("aibridged.ui") / "templates").iterdir():
        for file in folder.iterdir() if folder.is_dir() else (folder,):
            if not file.name.endswith(".html"):
                continue
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:", text), file.name
            assert "|safe" not in text, file.name
            for script in re.findall(r"<script[^>]*>.?", text):
                assert "src=" in script, file.name


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """The garbage of other tests takes no time of this one."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
async def test_a_large_page_leaves_the_event_loop_to_others():
    clock, loop = SystemClock(), asyncio.get_running_loop()
    times: list[float] = []
    due: asyncio.Handle | None = None

    def others() -> None:
        nonlocal due
        times.append(thread_time())
        due = loop.call_soon(others)

    renderer = Renderer("/ui", clock, TimeSlices(Turns(clock), clock))
    values = {"request": None, "refused": [{"reason": "slow", "message": "Slow down."}]}
    await renderer.page("me/seen.html", values, status=200, groups=(), visitor="ann")  # compiled
    values["refused"] *= 20_000
    others()
    page = await renderer.page("me/seen.html", values, status=200, groups=(), visitor="ann")
    assert due is not None
    due.cancel()
    assert len(page.body or b"") > 700_000
    assert max(now - before for before, now in pairwise(times)) < 0.02
