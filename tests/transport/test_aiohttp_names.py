"""The private names of aiohttp that the transport depends on: each is here, and is still there.

A release of aiohttp may rename them without notice, which is why its version has an upper bound.
"""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import aiohttp

from aibridged import transport

OF_A_BASE_CLASS = {
    "Connection": {
        "_lingering_time",
        "_loop",
        "_messages",
        "_reading_paused",
        "_request_count",
        "_request_in_progress",
    },
    "DownstreamResponse": {
        "_eof_sent",
        "_keep_alive",
        "_payload_writer",
        "_req",
        "_status",
    },
    "GatewayRequest": {
        "_loop",
        "_message",
        "_payload",
        "_payload_writer",
        "_protocol",
        "_task",
    },
    "PooledConnector": {
        "_acquired",
        "_cleanup_handle",
        "_closed",
        "_conns",
        "_create_connection",
        "_factory",
        "_force_close",
        "_release",
    },
    "SerialHandler": {
        "_buffer_paused",
        "_close",
        "_current_request",
        "_force_close",
        "_handle_request",
        "_handler_waiter",
        "_keepalive",
        "_keepalive_handle",
        "_keepalive_timeout",
        "_lingering_time",
        "_loop",
        "_messages",
        "_msg_queue_resume_size",
        "_next_keepalive_close_time",
        "_parser",
        "_process_keepalive",
        "_request_handler",
        "_request_in_progress",
        "_resume_reading_if_drained",
        "_task_handler",
        "_upgraded",
        "_waiter",
    },
    "Server": {"_loop"},
    "_HeadReader": {"_parser"},
}
OF_ANOTHER_OBJECT = {"_acquired", "_conns", "_protocol", "_request_handler"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def names_in(node: ast.AST) -> Iterator[str]:
    """The private names that a class has for its own, or uses of itself."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and ast.unparse(each.value) in ("self", "super()"):
            yield each.attr
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each.name


def parsed(thing: object) -> ast.Module:
    source = inspect.getsource(thing)  # type: ignore[arg-type]
    return ast.parse(inspect.cleandoc(source) if source.startswith(" ") else source)


def inherited_names(cls: type) -> set[str]:
    """The private names that aiohttp's classes above it use."""
    above = [each for each in cls.__mro__ if each.__module__.startswith("aiohttp.")]
    return {name for each in above for name in names_in(parsed(each)) if is_private(name)}


MODULES: list[ModuleType] = [
    import_module(f"{transport.__name__}.{path.stem}")
    for path in sorted(Path(transport.__path__[0]).glob("*.py"))
    if path.stem != "__init__"
]


def test_of_the_base_classes():
    used = {}
    for module in MODULES:
        for name, cls in vars(module).items():
            if not isinstance(cls, type) or cls.__module__ != module.__name__:
                continue
            if names := set(names_in(parsed(cls))) & inherited_names(cls):
                used[name] = names
    assert used == OF_A_BASE_CLASS


def test_of_other_objects():
    """Those of our own classes aside."""
    inherited = set().union(*OF_A_BASE_CLASS.values())
    own = {name for module in MODULES for name in names_in(parsed(module))} - inherited
    used = {
        node.attr
        for module in MODULES
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Attribute)
        and is_private(node.attr)
        and ast.unparse(node.value) not in ("self", "super()")
    }
    assert used - own - {"_replace"} == OF_ANOTHER_OBJECT  # a named tuple's is public
    package = Path(aiohttp.__file__).parent
    theirs = {
        name for path in package.glob("*.py") for name in names_in(ast.parse(path.read_text()))
    }
    assert theirs >= OF_ANOTHER_OBJECT
