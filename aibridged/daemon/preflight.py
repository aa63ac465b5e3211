"""What would keep the daemon from serving with valid settings: files, libraries, addresses.

`serve` and `check-config` ask the same functions, so that they can't differ.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from aibridged.clock import SystemClock
from aibridged.config.options import OPTIONS, Settings
from aibridged.config.private_file import check_usable, why_not_writable
from aibridged.config.resolution import Mistake, Resolution, StartError
from aibridged.identity.credential_key import KEY_FILE
from aibridged.observe import otlp
from aibridged.records.database import DATABASE_FILE
from aibridged.records.fingerprints import KEY_FILE as FINGERPRINT_KEY_FILE
from aibridged.records.journal import AREA_BYTES, JOURNAL_FILE
from aibridged.records.spool import SPOOL_FILE

# Files of the state directory, each of which the daemon opens for writing.
_STATE_FILES = (DATABASE_FILE, SPOOL_FILE, JOURNAL_FILE, KEY_FILE, FINGERPRINT_KEY_FILE)
_STREAMS = ("/dev/stderr", "/dev/stdout")


def with_preflight(resolution: Resolution) -> Resolution:
    """Add what the settings alone don't tell, without a change to any file.

    That is for a daemon that will serve: with mistakes, or disabled, nothing is looked at.
    """
    settings = resolution.settings
    if settings is None or not settings.enabled:
        return resolution
    where = _wheres(resolution)
    mistakes = [
        *_state_dir(settings, where["state_dir"]),
        *_dump_dir(settings, where["dump_dir"]),
        *_logs(settings, where),
        *_traces(settings, where["trace"]),
    ]
    warnings: list[str] = []
    if settings.proxy_enabled:
        mistakes += _ai_proxy(settings, warnings)
    return replace(
        resolution,
        settings=None if mistakes else settings,
        mistakes=[*resolution.mistakes, *mistakes],
        warnings=[*resolution.warnings, *warnings],
    )


def with_start(resolution: Resolution) -> Resolution:
    """Add what only an attempt shows: whether the database, Redis and the addresses can be used.

    `serve` finds out when it starts. An address in use is only a warning: the daemon of these
    settings may be running. No database is created.
    """
    import asyncio

    settings = resolution.settings
    if settings is None or not settings.enabled:
        return resolution
    where, warnings = _wheres(resolution), _redis(settings)
    mistakes = [
        *_database(settings, where),
        *asyncio.run(_addresses(settings, where, warnings)),
    ]
    return replace(
        resolution,
        settings=None if mistakes else settings,
        mistakes=[*resolution.mistakes, *mistakes],
        warnings=[*resolution.warnings, *warnings],
    )


def _redis(settings: Settings) -> list[str]:
    """A Redis that is away is only a warning: the daemon starts without it."""
    if settings.redis_url is None:
        return []
    # It needs an extra.
    from aibridged.limits.redis_server import lacks_rights, why_away
    from aibridged.limits.redis_session import place_of, reason_of

    url = settings.redis_url.reveal()
    if (error := why_away(url)) is None:
        return []
    if lacks_rights(error):
        return [
            f"The Redis user lacks a command, keys or the channel at {place_of(url)}"
            f" ({reason_of(error)}): see docs/replicas.md#what-is-in-redis."
        ]
    return [
        f"Redis is away at {place_of(url)} ({reason_of(error)}): until it is there, each replica"
        " has its share of the limits."
    ]


def _wheres(resolution: Resolution) -> dict[str, str]:
    """Where each setting comes from; of a default, the flag."""
    sources = {value.name: value.source for value in resolution.values if value.source.name}
    wheres = {}
    for option in OPTIONS:
        source = sources.get(option.name)
        key = f" {option.yaml}" if source is not None and source.kind == "file" else ""
        wheres[option.name] = f"{source or option.flag}{key}"
    return wheres


def _state_dir(settings: Settings, where: str) -> Iterator[Mistake]:
    directory = settings.state_dir
    remedy = "Run the daemon as a user who may write there, or choose another --state-dir."
    if (reason := why_not_writable(directory)) is not None:
        yield Mistake(where, f"{directory} can't be used: {reason}", remedy)
        return
    if not directory.is_dir():
        return
    for name in _STATE_FILES:
        try:
            check_usable(directory / name)  # a reload has them open, and locked
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Mistake(where, f"{directory / name} can't be used: {error.strerror}", remedy)
    if not (directory / JOURNAL_FILE).exists():
        yield from _free_space(directory, where)


def _free_space(directory: Path, where: str) -> Iterator[Mistake]:
    needed = 2 * AREA_BYTES
    space = os.statvfs(directory)
    free = space.f_bavail * space.f_frsize
    if free < needed:
        yield Mistake(
            where,
            f"only {free >> 20} MiB are free for {directory}, and {needed >> 20} are needed",
            "Free some, or choose another --state-dir.",
        )


def _dump_dir(settings: Settings, where: str) -> Iterator[Mistake]:
    path = settings.dump_dir
    if path is not None and (reason := why_not_writable(path)) is not None:
        remedy = "Set it to a directory that this user may create or write to."
        yield Mistake(where, f"{path} can't be used: {reason}", remedy)


def _logs(settings: Settings, where: dict[str, str]) -> Iterator[Mistake]:
    for name in ("log_human", "log_json", "log_stackdriver"):
        target = getattr(settings, name)
        if not target or target in _STREAMS:
            continue
        folder = os.path.dirname(target) or "."
        if os.path.isdir(target):
            yield Mistake(where[name], f"is a directory: {target}", "Set it to a file.")
        elif not os.path.isdir(folder):
            what = f"the directory doesn't exist: {folder}"
            yield Mistake(where[name], what, "Create the directory, or choose another file.")
        elif os.path.exists(target) and not os.access(target, os.W_OK, effective_ids=True):
            what = f"no permission to write to {target}"
            yield Mistake(where[name], what, "Choose a file that this user may write to.")
        elif not os.path.exists(target) and (reason := why_not_writable(Path(folder))):
            yield Mistake(where[name], reason, "Choose a file that this user may write to.")


def _traces(settings: Settings, where: str) -> Iterator[Mistake]:
    if settings.trace:
        try:
            otlp.protocol(os.environ)
        except otlp.TracingError as error:
            yield error.as_mistake(where)


def _ai_proxy(settings: Settings, warnings: list[str]) -> Iterator[Mistake]:
    # Only here, because it imports a large library.
    from aibridged.daemon.ai_proxy import AiProxyError, check_target, expiry_warning, read_ca

    clock = SystemClock()
    try:
        check_target(settings)
    except AiProxyError as error:
        yield error.as_mistake("the AI Proxy")
    try:
        warning = expiry_warning(read_ca(settings, clock), clock)
    except AiProxyError as error:
        yield error.as_mistake("the AI Proxy's CA")
    else:
        warnings += [warning] if warning else []


def _database(settings: Settings, where: dict[str, str]) -> Iterator[Mistake]:
    from aibridged.records import migrations
    from aibridged.records.open_database import make_database

    if settings.postgres_url is None and not (settings.state_dir / DATABASE_FILE).exists():
        return
    try:
        migrations.check(make_database(settings))
    except StartError as error:
        yield error.as_mistake(where["postgres_url" if settings.postgres_url else "state_dir"])


async def _addresses(
    settings: Settings, where: dict[str, str], warnings: list[str]
) -> list[Mistake]:
    from aibridged.transport.listeners import (
        CannotListenError,
        gateway_listener,
        metrics_listener,
        page_listener,
        proxy_listener,
    )

    listeners = [("http_address", gateway_listener(settings))]
    if settings.prometheus_enable:
        listeners.append(("prometheus_address", metrics_listener(settings)))
    if settings.proxy_enabled:
        listeners.append(("proxy_listen_addr", proxy_listener(settings)))
    if settings.ui_address is not None and settings.ui_enabled != "false":
        listeners.append(("ui_address", page_listener(settings.ui_address, settings)))
    mistakes = []
    for name, listener in listeners:
        try:
            await listener.try_address()
        except CannotListenError as error:
            if error.in_use:
                mend = f"{error.remedy[:1].lower()}{error.remedy[1:]}"
                warnings.append(f"{error.what} Unless that is this daemon, {mend}")
            else:
                mistakes.append(error.as_mistake(where[name]))
    return mistakes
