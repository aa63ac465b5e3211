"""Whose request it is that the running code serves, and which span is under way."""

import asyncio

import pytest

from aibridged.observe.scope import SCOPE, Scope, span


class Span:
    """Remembers what was below it, and how it ended."""

    def __init__(self, name):
        self.name, self.below, self.ended = name, [], None

    def child(self, name, began=None, attributes=()):
        self.below.append(Span(name))
        return self.below[-1]

    def end(self, ended=None, error=None):
        self.ended = error or "well"

    def tree(self):
        return {each.name: (each.ended, each.tree()) for each in self.below}


@pytest.fixture
def root():
    scope = Scope("r-1")
    scope.span = root = Span("root")
    token = SCOPE.set(scope)
    yield root
    SCOPE.reset(token)


def test_outside_of_a_request_nothing_is_traced():
    with span("init", {}) as outer:
        assert outer is None


def test_a_request_that_isnt_traced_has_no_spans():
    token = SCOPE.set(Scope("r-1"))
    with span("init", {}) as outer:
        assert outer is None
    SCOPE.reset(token)


def test_spans_are_nested_like_their_blocks(root):
    with span("init", {}), span("server", {}):
        with span("fetch", {}):
            pass
        with span("close", {}):
            pass
    with span("after", {}):
        pass
    inner = {"fetch": ("well", {}), "close": ("well", {})}
    assert root.tree() == {"init": ("well", {"server": ("well", inner)}), "after": ("well", {})}


def test_an_exception_ends_a_span_as_failed(root):
    with pytest.raises(ValueError, match="secret"), span("init", {}), span("server", {}):
        raise ValueError("a secret")
    assert root.tree() == {"init": ("ValueError", {"server": ("ValueError", {})})}


async def test_tasks_side_by_side_dont_take_each_other_for_parents(root):
    both_are_open = asyncio.Barrier(2)

    async def connect(name):
        with span(name, {}):
            await both_are_open.wait()
            with span(f"{name}.fetch", {}):
                pass

    with span("init", {}):
        await asyncio.gather(connect("one"), connect("two"))
    below = {name: ("well", {f"{name}.fetch": ("well", {})}) for name in ("one", "two")}
    assert root.tree() == {"init": ("well", below)}


async def test_a_task_stays_below_the_span_that_it_began_in(root):
    may_go_on = asyncio.Event()

    async def connect():
        await may_go_on.wait()
        with span("server", {}):
            pass

    with span("init", {}):
        task = asyncio.get_running_loop().create_task(connect())
    may_go_on.set()
    await task
    assert root.tree() == {"init": ("well", {"server": ("well", {})})}


async def test_what_goes_on_after_the_request_is_none_of_its_trace(root):
    with span("init", {}):
        SCOPE.get().leave()
        with span("later", {}) as later:
            assert later is None
    assert root.tree() == {"init": ("well", {})}


def test_a_scope_that_was_left_has_nothing():
    scope = Scope("r-1")
    scope.interception_id, scope.span = "i-1", Span("root")
    scope.leave()
    assert (scope.request_id, scope.interception_id, scope.span) == ("", None, None)
