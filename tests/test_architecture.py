"""The walls of the house: which layer may import which, and what is done in one place only."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# From the lowest up. Imports point down only, and the parts of one layer don't import each other.
LAYERS = (
    {"counted", "gateway_tokens", "login"},
    {"columns", "commit", "dialects", "errors", "clock", "config", "tasks"},
    {"wire", "core", "observe"},
    {"fair_places"},
    {
        *("transport", "mcp", "identity", "limits", "oidc", "prices", "providers", "records"),
        "telemetry",
    },
    {"pipeline", "proxy", "fake_provider", "api", "sign_in"},
    {"ui"},
    {"daemon"},
    {"cli"},
    {"__main__"},
)
LAYER_OF = {part: number for number, layer in enumerate(LAYERS) for part in layer}

SANS_IO = {"core", "wire"}
IO = {"asyncio", "aiohttp", "os", "socket", "sqlalchemy", "sqlite3", "ssl", "subprocess", "time"}

DATABASES = {"alembic", "sqlalchemy", "sqlite3"}
SPEAK_SQL = {
    "columns.py",
    "dialects.py",
    "identity/audit.py",
    "identity/browser_sign_ins.py",
    "identity/device_codes.py",
    "identity/directory.py",
    "identity/grants.py",
    "identity/groups.py",
    "identity/looks.py",
    "identity/indexes.py",
    "identity/mcp_credentials.py",
    "identity/memberships.py",
    "identity/people.py",
    "identity/sign_up.py",
    "identity/spend_limits.py",
    "identity/sign_in_purge.py",
    "identity/sign_ins.py",
    "identity/spend_scopes.py",
    "identity/spenders.py",
    "identity/tables.py",
    "identity/tokens.py",
    "identity/user_store.py",
}
SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|PRAGMA)\s+\w.*", re.DOTALL)

CLOCK_READINGS = re.compile(
    r"time\.(time|monotonic|perf_counter|process_time)(_ns)?|(datetime\.)?datetime\.(now|utcnow)"
    r"|(datetime\.)?(date|datetime)\.today"
)

# The commands of sign-in are a package of their own, with a clock of their own.
ASK_THE_TIME = {"clock.py", "login/clock.py"}

# What Windows hasn't.
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_CALLS = {
    f"os.{name}"
    for name in (
        *("chown", "fchmod", "fchown", "fork", "getegid", "geteuid", "getgid", "getpgid", "getuid"),
        *("kill", "killpg", "lchown", "mkfifo", "nice", "setsid", "uname", "wait"),
    )
}

STARTS_TASKS = {"create_task", "ensure_future", "run_coroutine_threadsafe"}

# What aiohttp keeps for itself; tests/transport/test_aiohttp_names.py names it bit by bit.
AIOHTTP_MODULES = re.compile(
    r"aiohttp\.(base_protocol|client_proto|client_reqrep|connector|web_protocol)(\..*)?"
)
AIOHTTP_NAMES = {
    "_acquired",
    "_conns",
    "_factory",
    "_message",
    "_payload",
    "_payload_writer",
    "_protocol",
    "_request_handler",
}

PROVIDER_NAMES = {"anthropic", "openai"}
KNOW_PROVIDERS = ("providers/", "config/", "fake_provider/", "cli/demo")

MAX_LINES = 400

MIRRORED = (
    "api",
    "core",
    "login",
    "limits",
    "wire",
    "config",
    "providers",
    "records",
    "identity",
    "mcp",
    "observe",
    "oidc",
    "pipeline",
    "prices",
    "proxy",
    "telemetry",
    "transport",
    "sign_in",
    "ui",
)
AI_PROXY = "tests/e2e/ai_proxy drives it through sockets"
UI = "tests/e2e/ui drives it in a browser and through sockets"
SIGN_IN = "tests/e2e/sign_in drives it through sockets"
SHELL = "an aiohttp shell over core/: tests/e2e drives it through sockets"
DECLARES = "declares types only: there is nothing to run"
RECONCILIATION = "tests/core/test_reconciliation.py compares by it"
USAGE_FILES = "tests/providers/test_usage_files.py reads by it"
BUDGETS = "tests/e2e/test_budgets.py drives it through sockets"
PEOPLE = "tests/api/test_user_routes.py and its neighbours"
METRICS = "tests/e2e/test_metrics.py drives it through sockets"
ENDING = "tests/e2e/test_ending.py"
WORKERS_RECORDS = "tests/records/test_remote_recorder.py drives it over a socket"
REDIS = "tests/e2e/test_redis.py drives it through sockets"
NEEDS_NO_TEST_OF_ITS_OWN = {
    "api/live_others.py": "tests/e2e/workers/test_group.py",
    "observe/process_readings.py": "tests/e2e/workers/test_group.py",
    "observe/log_descriptors.py": "tests/observe/test_log_outputs.py",
    "limits/redis_limiters.py": REDIS,
    "pipeline/shared_limits.py": REDIS,
    "api/people.py": PEOPLE,
    "api/people_routes.py": PEOPLE,
    "api/people_shapes.py": PEOPLE,
    "identity/directory.py": PEOPLE,
    "sign_in/components.py": DECLARES,
    "core/circuit.py": "tests/core/test_breaker.py runs it",
    "core/limiters.py": "tests/limits/test_shared.py compares both kinds",
    "limits/circuit_records.py": "tests/limits/test_breakers.py",
    "limits/timed_table.py": "tests/limits/test_rates.py and test_counts.py",
    "api/budget_standings.py": "tests/cli/test_budgets.py and tests/api/test_spend_limits.py",
    "api/problems.py": "tests/e2e/ui/test_overview.py",
    **{
        f"ui/views/{name}.py": "tests/e2e/ui/test_people.py"
        for name in ("groups", "me", "people", "policies")
    },
    "ui/views/budgets.py": "tests/e2e/ui/test_budgets.py",
    "ui/views/live.py": "tests/e2e/ui/test_live.py",
    "ui/views/overview.py": "tests/e2e/ui/test_overview.py",
    "ui/views/overview_charts.py": "tests/e2e/ui/test_overview.py",
    "api/budget_shapes.py": "tests/api/test_budgets.py reads them",
    "api/overview_routes.py": DECLARES,
    "api/overview_shapes.py": "tests/api/test_overview.py reads them",
    "api/spend_limit_shapes.py": "tests/api/test_spend_limits.py reads them",
    "identity/spenders.py": "tests/cli/test_budgets.py and tests/api/test_spend_limits.py",
    "api/operations.py": "tests/e2e/ui/test_operations.py",
    "api/session_shapes.py": "tests/api/test_session_stream.py reads by it",
    "identity/http_lookup.py": "tests/identity/test_coder.py and test_remote.py drive it",
    "identity/base.py": DECLARES,
    "observe/client_failure.py": "tests/identity/test_coder.py drives it",
    "identity/sign_in.py": DECLARES,
    "core/cost_notes.py": DECLARES,
    "core/looks.py": DECLARES,
    "observe/budget_table.py": DECLARES,
    "observe/limit_table.py": DECLARES,
    "observe/record_table.py": DECLARES,
    "observe/mcp_table.py": DECLARES,
    "observe/telemetry_table.py": DECLARES,
    "observe/metric.py": DECLARES,
    "pipeline/auth.py": SHELL,
    "pipeline/body.py": SHELL,
    "pipeline/breaker.py": SHELL,
    "pipeline/budget.py": BUDGETS,
    "pipeline/budget_refusals.py": BUDGETS,
    "pipeline/bridge.py": SHELL,
    "transport/chunk_time.py": METRICS,
    "pipeline/concurrency.py": SHELL,
    "pipeline/context.py": SHELL,
    "pipeline/model_list.py": "tests/e2e/test_policies.py drives it through sockets",
    "pipeline/policy.py": "tests/e2e/test_policies.py drives it through sockets",
    "pipeline/soft_budget.py": "tests/e2e/test_soft_budget.py drives it through sockets",
    "pipeline/provider_key.py": "tests/e2e/test_provider_keys.py",
    "pipeline/summary.py": "tests/e2e/test_request_lines.py reads the lines that it makes",
    "core/discrepancies.py": RECONCILIATION,
    "core/usage_figures.py": RECONCILIATION,
    "providers/anthropic_usage.py": USAGE_FILES,
    "providers/openai_usage.py": USAGE_FILES,
    "providers/usage_export.py": USAGE_FILES,
    "transport/abort.py": SHELL,
    "transport/body.py": SHELL,
    "transport/head_reader.py": AI_PROXY,
    "transport/refusal.py": SHELL,
    "transport/idle_pools.py": "tests/e2e/test_descriptors.py drives it through sockets",
    "transport/server.py": SHELL,
    "pipeline/tool_loop/continuations.py": SHELL,
    "pipeline/dump.py": SHELL,
    "pipeline/finish.py": SHELL,
    "pipeline/forward.py": SHELL,
    "pipeline/lifecycle.py": SHELL,
    "pipeline/origin.py": SHELL,
    "pipeline/ownership.py": "tests/e2e/test_stored_objects.py drives it through sockets",
    "pipeline/standing.py": BUDGETS,
    "pipeline/ending.py": ENDING,
    "pipeline/live.py": ENDING,
    "daemon/live.py": ENDING,
    "wire/responses/so_far.py": "tests/wire/test_early_ends.py",
    "records/spending.py": BUDGETS,
    "records/recording.py": DECLARES,
    "records/adoption.py": WORKERS_RECORDS,
    "records/group_recorder.py": WORKERS_RECORDS,
    "records/remote_link.py": WORKERS_RECORDS,
    "records/remote_starts.py": WORKERS_RECORDS,
    "daemon/record_readings.py": METRICS,
    "daemon/group_jobs.py": "tests/e2e/test_reload.py and test_pruning.py drive it",
    "records/lookups.py": "tests/records/test_stored_objects.py drives it",
    "pipeline/storing.py": "tests/e2e/test_stored_objects.py drives it through sockets",
    "pipeline/components.py": DECLARES,
    "pipeline/rate_limit.py": SHELL,
    "daemon/metrics_snapshot.py": METRICS,
    "pipeline/record.py": SHELL,
    "pipeline/local_routes.py": SHELL,
    "pipeline/whoami.py": "tests/e2e/test_whoami.py drives it through sockets",
    "transport/request.py": SHELL,
    "pipeline/route.py": SHELL,
    "daemon/metrics_endpoint.py": METRICS,
    "pipeline/tool_loop/calls.py": SHELL,
    "pipeline/tool_loop/loop.py": SHELL,
    "pipeline/stream_options.py": "tests/e2e/test_stream_options.py has providers that refuse it",
    "pipeline/telemetry.py": "tests/e2e/test_telemetry.py drives it through sockets",
    "pipeline/tools.py": SHELL,
    "pipeline/tool_loop/turn.py": SHELL,
    "pipeline/web_page.py": "tests/e2e/ui/test_listener.py drives it through sockets",
    "wire/responses/events.py": DECLARES,
    "config/headers.py": "tests/config/test_mcp_servers.py and test_telemetry.py read them",
    "config/lists.py": DECLARES,
    "config/rows/ai_proxy.py": DECLARES,
    "config/rows/budgets.py": DECLARES,
    "config/rows/gateway.py": DECLARES,
    "config/rows/logging.py": DECLARES,
    "config/rows/people.py": DECLARES,
    "config/rows/server.py": DECLARES,
    "config/rows/sign_in.py": DECLARES,
    "config/rows/ui.py": DECLARES,
    "oidc/base.py": DECLARES,
    "records/usage_refusals.py": "tests/records/test_usage.py asks for refusals beside usage",
    "records/usage_rows.py": "tests/records/test_usage_parts.py compares the sums both ways",
    "records/usage_sums.py": "tests/records/test_usage_parts.py compares the sums both ways",
    "identity/indexes.py": "tests/identity/test_tokens.py compares it with the migrations",
    "identity/tables.py": "tests/identity/test_tokens.py compares it with the migrations",
    "login/__main__.py": "tests/packaging/test_login_wheel.py runs what it calls",
    "login/clock.py": "thin names of the system's clocks",
    "login/failure.py": DECLARES,
    **{
        f"login/setup/{name}.py": "tests/login/setup/test_agents.py"
        for name in ("claude_code", "codex", "kilo", "opencode", "pi", "target")
    },
    "mcp/credentials.py": DECLARES,
    "mcp/limits.py": DECLARES,
    "mcp/tools.py": DECLARES,
    **{
        f"proxy/{name}.py": AI_PROXY
        for name in (
            "client",
            "connect",
            "dial",
            "forwarding",
            "mitm",
            "proxy_server",
            "tunnel",
        )
    },
    "records/migrations/versions/r0002_identity.py": "tests/identity/test_tokens.py compares it",
    "records/migrations/versions/r0003_mcp_credentials.py": "tests/identity/test_tokens.py, too",
    "records/migrations/versions/r0005_provider_model.py": "tests/records/migrations/test_env.py",
    "records/migrations/versions/r0007_session_index.py": "test_schema.py compares it",
    "records/migrations/versions/r0008_continuations.py": "test_schema.py compares it",
    "records/migrations/versions/r0009_username_and_outcome_indexes.py": "tests/records/migrations/"
    "test_env.py",
    "records/migrations/versions/r0010_audit.py": "tests/identity/test_tokens.py compares it",
    "records/migrations/versions/r0011_sign_in.py": "tests/identity/test_tokens.py compares it",
    "records/migrations/versions/r0012_costs.py": "tests/records/migrations compare it",
    "records/migrations/versions/r0013_usage_summaries.py": "r0018 drops what it makes",
    "records/migrations/versions/r0015_failed_by_hour.py": "r0018 drops what it extends",
    **{
        f"sign_in/{name}.py": SIGN_IN
        for name in ("callback", "device", "oauth", "refresh", "routes", "tokens", "web_page")
    },
    "ui/page.py": DECLARES,
    **{f"ui/{name}.py": UI for name in ("entry", "routes")},
    "transport/handoff.py": AI_PROXY,
    "records/backend.py": DECLARES,
    "records/cursors.py": "tests/records/test_query.py pages by them",
    "records/migrations/versions/r0017_usual_costs.py": "tests/records/migrations compare it",
    "records/figures.py": "tests/records/test_usage.py and test_names.py ask for them",
    "records/session_rows.py": "tests/records/test_sessions.py reads them",
    "records/budget_alerts.py": "tests/daemon/test_budget_alerts.py tells alerts by it",
    "records/migrations/versions/r0014_budget_alerts.py": "tests/records/migrations compare it",
    "api/session_interceptions.py": "tests/api/test_session_export.py reads them",
    "api/session_routes.py": "tests/e2e/test_fingerprints.py asks for each",
    "pipeline/fingerprints.py": "tests/e2e/test_fingerprints.py drives it through sockets",
    "records/migrations/versions/r0016_prompt_fingerprints.py": "tests/records/migrations",
    "records/recorded_usage.py": "tests/records/test_recosting.py prices by it",
    "ui/views/sessions.py": "tests/e2e/ui/test_sessions.py visits each page",
    "records/query_results.py": DECLARES,
    "records/jobs.py": DECLARES,
}


class Module(NamedTuple):
    """A source file of the package; `path` is relative to it, with slashes."""

    path: str
    source: str

    @property
    def part(self) -> str:
        """The room it is in: a directory of the package, or a file beside them."""
        return self.path.split("/")[0].removesuffix(".py")

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    def imports(self) -> Iterator[str]:
        """Dotted names; for `from a import b` both a and a.b, since b may be a module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        package = ["aibridged", *self.path.split("/")[:-1]]
        above = package[: len(package) - node.level + 1] if node.level else []
        return ".".join([*above, *([node.module] if node.module else [])])


MODULES = [
    Module(path.relative_to(ROOT / "aibridged").as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "aibridged").rglob("*.py"))
]


def breaks_layers(module: Module) -> Iterator[str]:
    if module.path == "__init__.py":
        yield from (name for name in module.imports() if name.startswith("aibridged"))
        return
    if module.part not in LAYER_OF:
        yield f"{module.part} is in no layer"
        return
    for name in module.imports():
        top, _, below = name.partition(".")
        part = below.split(".")[0]
        # What isn't a part is a name in the package itself, such as its version.
        if top != "aibridged" or part not in LAYER_OF or part == module.part:
            continue
        if LAYER_OF[part] >= LAYER_OF[module.part]:
            yield name


def does_io(module: Module) -> Iterator[str]:
    if module.part in SANS_IO:
        yield from (name for name in module.imports() if name.split(".")[0] in IO)


def asks_the_time(module: Module) -> Iterator[str]:
    if module.path in ASK_THE_TIME:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and CLOCK_READINGS.fullmatch(ast.unparse(node)):
            yield ast.unparse(node)
    yield from (name for name in module.imports() if CLOCK_READINGS.fullmatch(name))


def speaks_sql(module: Module) -> Iterator[str]:
    if module.part == "records" or module.path in SPEAK_SQL:
        return
    yield from (name for name in module.imports() if name.split(".")[0] in DATABASES)
    for node in ast.walk(module.tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and SQL.fullmatch(text):
            yield text


def knows_a_provider(module: Module) -> Iterator[str]:
    """A comparison with a provider's name, or a match on it."""
    if module.path.startswith(KNOW_PROVIDERS):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Compare | ast.MatchValue):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Constant) and inner.value in PROVIDER_NAMES:
                    yield f"{module.path}:{inner.lineno}"


def starts_untracked_tasks(module: Module) -> Iterator[str]:
    """By whatever name; a task group keeps hold of its own tasks."""
    if module.path == "tasks.py":
        return
    groups = {
        ast.unparse(item.optional_vars)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if item.optional_vars and ast.unparse(item.context_expr) == "asyncio.TaskGroup()"
    }
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Attribute) or node.attr not in STARTS_TASKS:
            continue
        if node.attr != "create_task" or ast.unparse(node.value) not in groups:
            yield ast.unparse(node)
    yield from (name for name in module.imports() if name.split(".")[-1] in STARTS_TASKS)


def touches_aiohttp_inside(module: Module) -> Iterator[str]:
    """A private name of its, on whatever isn't an object of our own."""
    if module.part == "transport":
        return
    yield from (name for name in module.imports() if AIOHTTP_MODULES.fullmatch(name))
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Attribute) or ast.unparse(node.value) == "self":
            continue
        if node.attr in AIOHTTP_NAMES:
            yield ast.unparse(node)


def needs_more_than_every_system_has(module: Module) -> Iterator[str]:
    """In the commands of sign-in, which need the standard library alone, on every system."""
    if module.part != "login":
        return
    allowed = sys.stdlib_module_names - POSIX_MODULES | {"keyring"}
    for name in module.imports():
        if name.split(".")[0] not in allowed and not name.startswith("aibridged.login"):
            yield name
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in POSIX_CALLS:
            yield ast.unparse(node)


def takes_the_sign_in_for_a_library(module: Module) -> Iterator[str]:
    """The daemon has nothing to do with the commands that sign in to it."""
    if module.part not in ("login", "cli", "__main__"):
        yield from (name for name in module.imports() if name.startswith("aibridged.login"))


def is_too_long(module: Module) -> Iterator[str]:
    lines = module.source.count("\n")
    if lines > MAX_LINES:
        yield f"{lines} lines"


def has_no_subject(module: Module) -> Iterator[str]:
    if re.search(r"(^|/)_?(utils?|helpers?|misc|common)(/|\.py$)", module.path):
        yield "named after no job"


def lacks_a_test(module: Module) -> Iterator[str]:
    folder, _, file = module.path.rpartition("/")
    if module.part not in MIRRORED or file == "__init__.py":
        return
    if module.path not in NEEDS_NO_TEST_OF_ITS_OWN:
        test = ROOT / "tests" / folder / f"test_{file}"
        if not test.is_file():
            yield test.relative_to(ROOT).as_posix()


RULES = (
    breaks_layers,
    does_io,
    asks_the_time,
    speaks_sql,
    knows_a_provider,
    starts_untracked_tasks,
    touches_aiohttp_inside,
    needs_more_than_every_system_has,
    takes_the_sign_in_for_a_library,
    is_too_long,
    has_no_subject,
    lacks_a_test,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_module(rule):
    offences = [f"{module.path}: {what}" for module in MODULES for what in rule(module)]
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (breaks_layers, "core/x.py", "from aibridged.wire import sse"),
        (breaks_layers, "core/x.py", "from aibridged import wire"),
        (breaks_layers, "core/x.py", "from .. import wire"),
        (breaks_layers, "core/x.py", "from ..wire.sse import split"),
        (breaks_layers, "config/x.py", "import aibridged.errors"),
        (breaks_layers, "records/x.py", "def f():\n    from aibridged.daemon.gateway import run"),
        (breaks_layers, "attic/x.py", ""),
        (breaks_layers, "__init__.py", "from aibridged.daemon.gateway import run"),
        (does_io, "core/x.py", "import asyncio"),
        (does_io, "wire/deep/x.py", "from os import environ"),
        (does_io, "core/x.py", "from aiohttp.web import Request"),
        (asks_the_time, "app.py", "import time\nnow = time.monotonic()"),
        (asks_the_time, "app.py", "from time import time_ns"),
        (asks_the_time, "app.py", "from datetime import datetime, UTC\ndatetime.now(UTC)"),
        (asks_the_time, "app.py", "import datetime\nclock = datetime.datetime.now"),
        (speaks_sql, "app.py", "import sqlite3"),
        (speaks_sql, "identity/coder.py", "from sqlalchemy import select"),
        (speaks_sql, "core/x.py", "query = '''\n  SELECT id\n  FROM tokens'''"),
        (knows_a_provider, "app.py", "x = kind == 'anthropic'"),
        (knows_a_provider, "app.py", "x = kind in ('openai', 'other')"),
        (knows_a_provider, "cli/x.py", "match kind:\n    case 'openai':\n        pass"),
        (starts_untracked_tasks, "app.py", "asyncio.create_task(f())"),
        (starts_untracked_tasks, "app.py", "from asyncio import ensure_future"),
        (starts_untracked_tasks, "app.py", "loop = get_loop()\nloop.create_task(f())"),
        (starts_untracked_tasks, "app.py", "start = asyncio.get_running_loop().create_task"),
        (touches_aiohttp_inside, "api/x.py", "from aiohttp.web_protocol import RequestHandler"),
        (touches_aiohttp_inside, "api/x.py", "path = request._message.path"),
        (touches_aiohttp_inside, "proxy/x.py", "from aiohttp.base_protocol import BaseProtocol"),
        (needs_more_than_every_system_has, "login/x.py", "import msgspec"),
        (needs_more_than_every_system_has, "login/x.py", "from aibridged.errors import ERRORS"),
        (needs_more_than_every_system_has, "login/x.py", "def f():\n    import fcntl"),
        (needs_more_than_every_system_has, "login/setup/x.py", "import os\nos.fchmod(1, 0o600)"),
        (takes_the_sign_in_for_a_library, "daemon/x.py", "from aibridged.login import oauth"),
        (is_too_long, "app.py", "\n" * 401),
        (has_no_subject, "core/utils.py", ""),
        (has_no_subject, "helpers/x.py", ""),
        (lacks_a_test, "core/nothing.py", ""),
        (lacks_a_test, "wire/deep/nothing.py", ""),
    ],
)
def test_a_breach_is_seen(rule, path, source):
    assert list(rule(Module(path, source))) != []


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (breaks_layers, "core/x.py", "from aibridged.core import auth\nfrom . import auth"),
        (breaks_layers, "core/x.py", "from aibridged.errors import GatewayError"),
        (breaks_layers, "cli/x.py", "import aibridged\nfrom aibridged import __version__, app"),
        (does_io, "app.py", "import asyncio, os"),
        (asks_the_time, "clock.py", "import time\ntime.time()"),
        (asks_the_time, "app.py", "from datetime import datetime\ndatetime.fromtimestamp(0)"),
        (speaks_sql, "records/store.py", "import sqlalchemy\nq = 'SELECT 1'"),
        (speaks_sql, "app.py", "said = 'Select a provider.'"),
        (knows_a_provider, "providers/x.py", "x = kind == 'anthropic'"),
        (knows_a_provider, "app.py", "name = 'anthropic'"),
        (starts_untracked_tasks, "tasks.py", "loop.create_task(f())"),
        (
            starts_untracked_tasks,
            "app.py",
            "async def f():\n async with asyncio.TaskGroup() as tasks:\n  tasks.create_task(g())",
        ),
        (touches_aiohttp_inside, "transport/x.py", "path = request._message.path"),
        (touches_aiohttp_inside, "api/x.py", "from aiohttp import web\nx = self._message"),
        (needs_more_than_every_system_has, "login/x.py", "import os\nfrom . import oauth"),
        (needs_more_than_every_system_has, "cli/x.py", "import fcntl, typer"),
        (takes_the_sign_in_for_a_library, "cli/x.py", "from aibridged.login import COMMANDS"),
        (lacks_a_test, "core/__init__.py", ""),
        (lacks_a_test, "core/breaker.py", ""),
    ],
)
def test_what_is_allowed_passes(rule, path, source):
    assert list(rule(Module(path, source))) == []


def test_no_excuse_outlives_its_reason():
    """An excused module exists, and has indeed no test of its own."""
    existing = {module.path for module in MODULES}
    for path in NEEDS_NO_TEST_OF_ITS_OWN:
        folder, _, file = path.rpartition("/")
        assert path in existing
        assert not (ROOT / "tests" / folder / f"test_{file}").exists()
