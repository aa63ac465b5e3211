"""A gateway with a record as after some weeks of 200 people, for those who look at its pages."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from aibridged.clock import Clock, SystemClock
from aibridged.config.kinds import Address
from aibridged.config.load import resolve
from aibridged.config.options import ProviderSettings, Settings
from aibridged.config.secret import Secret
from aibridged.daemon.gateway import Gateway
from aibridged.identity import tables
from aibridged.identity.groups import GroupStore
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import database_url, make_engine
from aibridged.records.schema import metadata
from aibridged.records.usage_summaries import INTERVAL_S, Summaries
from bench.queries import fill

COUNT = int(os.environ.get("AIBRIDGED_INTERCEPTIONS", "5000"))
"""Interceptions; 100 000 at full length."""

END = datetime(2025, 10, 8, 17, 5, tzinfo=UTC)
"""Just after the last of them has ended."""
TEXTS = (("user_prompts", "prompt"), ("tool_usages", "input"))
_BATCH = 5000
HOSTILE = {
    "script": "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
    "ansi": "\x1b[2J\x1b[31mred\x1b]0;title\x07" * 50,
    "bidi": "user \u202egnp.exe\u202c \u2066x\u2069",
    "unseen": "a\u200bb\u200dc\ufeffd\u00ade",
    "huge": "lorem ipsum " * 440_000,
}


class ShiftedClock(SystemClock):
    """A clock that goes, and began at the end of the record."""

    def __init__(self) -> None:
        self._began = super().monotonic()

    def wall(self) -> datetime:
        return END + timedelta(seconds=self.monotonic() - self._began)


@dataclass(frozen=True)
class Filled:
    """A gateway, with the tokens of an administrator and of a person."""

    gateway: Gateway
    admin: str
    person: str

    @property
    def root(self) -> str:
        return f"{self.gateway.url}/ui"


def fill_sqlite(directory: Path, count: int = COUNT, *, hostile: bool = True) -> sa.Engine:
    """A SQLite database with the record, with hostile texts and its hours summed up."""
    fill(directory, count)
    engine = make_engine(database_url(directory))
    with engine.begin() as connection:
        for table, column in TEXTS if hostile else ():
            _make_hostile(connection, metadata.tables[f"aibridge_{table}"], column)
    if not hostile:
        return engine  # too small to be summed up
    summaries = Summaries(engine, SystemClock())
    while summaries.go_on() < INTERVAL_S:
        pass
    return engine


def _make_hostile(connection: sa.Connection, table: sa.Table, column: str) -> None:
    """The last rows get texts that would do harm where they are shown as they are."""
    ids = sa.select(table.c.id).order_by(table.c.interception_id.desc()).limit(len(HOSTILE))
    for id, text in zip(connection.execute(ids).scalars().all(), HOSTILE.values(), strict=True):
        connection.execute(table.update().where(table.c.id == id).values({column: text}))


def copy_to(engine: sa.Engine, source: sa.Engine) -> None:
    """The same on another database, which has its tables."""
    with source.connect() as reading, engine.begin() as writing:
        for table in metadata.sorted_tables:
            own = [column for column in table.columns if column.computed is None]
            rows = reading.execute(sa.select(*own)).mappings()
            while batch := rows.fetchmany(_BATCH):
                writing.execute(table.insert(), [dict(row) for row in batch])


@asynccontextmanager
async def running(
    state_dir: Path, engine: sa.Engine, postgres: str | None, clock: Clock | None = None
) -> AsyncIterator[Filled]:
    """A gateway of that database, whose clock stands at its end."""
    clock = clock or ShiftedClock()
    store = TokenStore(engine, clock)
    if store.is_empty():
        store.create_user("root", is_admin=True)
        person = store.create_user("user7")
        with engine.begin() as connection:
            own = {"id": "00000000-0000-4000-8000-000000000007"}
            users = tables.users
            connection.execute(users.update().where(users.c.id == person.id).values(own))
        groups = GroupStore(engine, clock)
        for name in ("engineers", "<b>design</b>"):
            groups.create(name)
        groups.add("engineers", ["user7", "root"])
    admin, own = (
        store.create_token(name, name="laptop", lifetime=None)[1].reveal()
        for name in ("root", "user7")
    )
    settings = replace(
        Settings(),
        http_address=Address("127.0.0.1", 0),
        auth="token",
        state_dir=state_dir,
        postgres_url=Secret(postgres) if postgres is not None else None,
        circuit_breaker_enabled=True,
        shutdown_timeout=0.0,
        retention=0.0,  # all of it is kept
        providers=(
            ProviderSettings(
                "anthropic", "anthropic", Secret("sk-ant-organisation-1"), "http://127.0.0.1:9"
            ),
            ProviderSettings(
                "openai", "openai", Secret("sk-openai-organisation"), "http://127.0.0.1:9/v1"
            ),
        ),
    )
    gateway = Gateway(settings, clock)
    environment = {
        "CODER_AIBRIDGE_ANTHROPIC_KEY": "sk-ant-organisation-1",
        "CODER_HTTP_ADDRESS": ":1",
    }
    gateway.loaded.began(resolve({"--aibridge-rate-limit": "50"}, environment))
    await gateway.start()
    try:
        yield Filled(gateway, admin, own)
    finally:
        await gateway.stop()
