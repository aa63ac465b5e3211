"""Three replicas lose Redis, PostgreSQL, its primary, each other and their lives.

What is promised holds.

`make drill-replicas` runs it at full length, `make drills` shortened.
"""

import asyncio
import os
import re
import signal
import socket
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
import sqlalchemy as sa

from aibridged.clock import SystemClock
from aibridged.identity.tokens import TokenStore
from aibridged.limits.redis_limits import share_of
from aibridged.limits.redis_script import LEASE_S
from aibridged.records import schema
from aibridged.records.database import database_url, make_engine
from aibridged.records.migrations import upgrade
from aibridged.tasks import Tasks
from tests.e2e.replicas.cluster import (
    BODY,
    RATE,
    REPLICAS,
    SLOTS,
    Clients,
    CountingProvider,
    Replica,
    is_ready,
    quiet,
    start_haproxy,
)
from tests.e2e.replicas.network import Network, why_not
from tests.e2e.spend_limits import is_balanced, ledger, set_limit
from tests.postgres_server import PostgresServer, running
from tests.redis_server import RedisProcess, find_redis
from tests.waiting import until

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

WHOLE = bool(os.environ.get("AIBRIDGED_DRILL_WHOLE"))
PHASE_S = 15.0 if WHOLE else 2.0
CLIENTS = 30
DRAIN_S = 1.0
"""Longer than a request takes."""
SHARE = share_of(SLOTS, REPLICAS)
"""Of a caller's rate, of one replica without Redis."""
RATE_SHARE = share_of(RATE, REPLICAS)

UNRECORDED = ("recording_failed", "auth_unavailable")
"""Why a request is refused while there is no database to write to."""


def slots_bound(cut_off: int) -> int:
    """The most that run at once, where so many replicas have been without Redis for a while."""
    return SLOTS if not cut_off else 2 * SLOTS + cut_off * SHARE


class Drill:
    """The replicas, their clients, and what each phase has shown."""

    def __init__(self, replicas, clients, provider):
        self.replicas = replicas
        self.clients = clients
        self.provider = provider
        self._without = 0  # Redis, in the phase before

    async def decided_here(self):
        """How many requests each replica has decided without Redis."""
        found = []
        async with aiohttp.ClientSession() as session:
            for each in self.replicas:
                try:
                    url = f"http://{each.machine.address}:2112/metrics"
                    async with session.get(url, timeout=aiohttp.ClientTimeout(1)) as answer:
                        text = await answer.text()
                except (aiohttp.ClientError, TimeoutError):
                    found.append(-1)  # it is away itself
                    continue
                (line,) = re.findall(r"^aibridged_redis_local_decisions_total (\S+)", text, re.M)
                found.append(float(line))
        return found

    async def refusals(self):
        """How each replica answers now."""
        found = set()
        async with aiohttp.ClientSession() as session:
            for each in self.replicas:
                url = f"{each.url}/anthropic/v1/messages"
                headers = {"X-Coder-Token": self.clients.tokens[0]}
                async with session.post(url, json=BODY, headers=headers) as answer:
                    found.add((answer.status, answer.headers.get("X-Aibridge-Reason")))
        return found

    async def all_are_ready(self):
        """Wait until each replica is."""
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            for each in self.replicas:
                while not await is_ready(session, each.url):  # noqa: ASYNC110 - nothing signals it
                    await asyncio.sleep(0.05)

    def spooled(self):
        """The bytes that each replica keeps for later."""
        return [each.spool.stat().st_size for each in self.replicas]

    async def phase(self, name, seconds=PHASE_S, *, lost=0, none_ready=False):
        """Look on for a while, and check the bounds."""
        if self._without:
            # What was admitted in the phase before may still run.
            left = await self.clients.phase(DRAIN_S)
            assert left.most <= slots_bound(self._without)
            assert left.lost <= lost
        before = await self.decided_here()
        seen = await self.clients.phase(seconds)
        after = await self.decided_here()
        without = sum(a != b for a, b in zip(before, after, strict=True))
        self._without, bound = without, slots_bound(without)
        rates = RATE + without * RATE_SHARE
        most_of_a_token = rates * (1 + seen.seconds + seen.slowest)
        busiest = max(seen.by_token.values(), default=0)
        print(
            f"{name:32} {seen.most:3} of {bound:3} slots, {busiest:5} of {most_of_a_token:5.0f} a"
            f" token, {seen.lost} lost, slowest {seen.slowest:.2f} s, {without} without Redis,"
            f" {dict(seen.answers)}"
        )
        assert seen.most <= bound
        assert all(count <= most_of_a_token for count in seen.by_token.values())
        assert seen.lost + seen.answers["502"] + seen.answers["504"] <= lost
        assert none_ready or not seen.answers["503"]  # HAProxy's: no replica was ready
        return seen


@pytest.fixture
def postgres():
    """A primary that commits nothing that its standby doesn't have, the standby, and their URL."""
    with running() as primary, running(follows=primary) as standby:
        hosts = f"host={primary.directory},{standby.directory}"
        url = f"postgresql://postgres@/postgres?{hosts}&target_session_attrs=read-write"
        engine = make_engine(database_url(Path(), url))
        upgrade(engine)
        set_limit(engine, SystemClock(), 10**9)
        primary.wait_for("*")
        yield Postgres(primary, standby, url, engine)


class Postgres(NamedTuple):
    primary: PostgresServer
    standby: PostgresServer
    url: str
    engine: sa.Engine


@pytest.fixture
async def drill(postgres, tmp_path):
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    find_redis()
    network, provider, tasks = Network(), CountingProvider(), Tasks()
    store = TokenStore(postgres.engine, SystemClock())
    store.create_user("ann")
    tokens = [store.create_token("ann", name="", lifetime=None)[1].reveal() for _ in range(2)]
    replicas, processes = [], []
    try:
        network.open()
        redis_machine = network.add()
        server = RedisProcess(
            find_redis(), tmp_path, bind=redis_machine.address, inside=redis_machine.inside
        )
        server.start()
        await provider.start(network.here)
        for number in range(REPLICAS):
            state_dir = tmp_path / f"r{number}"
            state_dir.mkdir(mode=0o700)
            machine = network.add()
            settings = {
                "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": provider.base_url,
                "CODER_AIBRIDGE_ANTHROPIC_KEY": "sk-organisation",
                "CODER_AIBRIDGE_UNPRICED": "100",
                "CODER_PG_CONNECTION_URL": postgres.url,
                "CODER_AIBRIDGE_REDIS_URL": server.url,
                "CODER_AIBRIDGE_REPLICAS": str(REPLICAS),
                "CODER_AIBRIDGE_MAX_CONCURRENCY": str(SLOTS),
                "CODER_AIBRIDGE_RATE_LIMIT": str(RATE),
                "CODER_PROMETHEUS_ENABLE": "true",
                "CODER_PROMETHEUS_ADDRESS": f"{machine.address}:2112",
            }
            replicas.append(Replica(machine, state_dir, settings))
        await asyncio.gather(*(each.start() for each in replicas))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        processes.append(await start_haproxy(tmp_path, port, replicas))
        clients = Clients(f"http://127.0.0.1:{port}", tokens, provider)
        made = Drill(replicas, clients, provider)
        made.redis, made.redis_machine, made.postgres = server, redis_machine, postgres
        await until(lambda: port_is_open(port))
        running = tasks.start(clients.run(CLIENTS), "clients")
        made.running = running
        yield made
    finally:
        await tasks.cancel()
        for each in replicas:
            await each.end(signal.SIGKILL)
        for process in processes:
            process.kill()
            await process.wait()
        await provider.stop()
        server.kill()
        network.close()


def port_is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_limits_record_and_requests_hold(drill):
    one, other, third = drill.replicas
    await drill.clients.phase(1.0)
    seen = await drill.phase("all is well")
    assert seen.answers["200"]

    with one.machine.cut_off(drill.redis_machine):
        await drill.phase("one is cut off from Redis")
        await drill.phase("one is cut off, its lease over", max(PHASE_S, LEASE_S))
    await drill.phase("healed")

    with drill.redis.frozen():
        seen = await drill.phase("Redis is frozen")
        assert seen.answers["200"]
    await drill.phase("Redis is awake")

    drill.redis.kill()
    await drill.phase("Redis is dead")
    drill.redis.start(aged=False)
    await drill.phase("Redis is empty")

    assert drill.clients.lost == 0
    await other.end(signal.SIGKILL)
    await drill.phase("a replica is killed", max(PHASE_S, LEASE_S), lost=CLIENTS)
    lost = drill.clients.lost
    assert lost <= CLIENTS  # what was in flight there, also to be refused
    await other.start()
    await drill.phase("it is back")

    third.process.send_signal(signal.SIGSTOP)
    try:
        await drill.phase("a replica is frozen", 2.0)
        # Those who wait for its answers go on waiting: others come.
        more = Tasks().start(drill.clients.run(CLIENTS), "more clients")
        seen = await drill.phase("a replica is frozen for long", LEASE_S)
        assert seen.answers["200"]
    finally:
        third.process.send_signal(signal.SIGCONT)
    await drill.phase("it is awake")

    await asyncio.to_thread(drill.postgres.primary.stop)
    await drill.phase("PostgreSQL is dead", none_ready=True)
    await asyncio.to_thread(drill.postgres.primary.start)
    await drill.all_are_ready()
    seen = await drill.phase("PostgreSQL is back", none_ready=True)
    assert seen.answers["200"]

    await asyncio.to_thread(drill.postgres.primary.kill)
    await drill.phase("its primary is killed", none_ready=True)
    begun = drill.provider.begun
    seen = await drill.phase("no primary is there", none_ready=True)
    assert seen.answers.keys() <= {"503", "at_capacity", *UNRECORDED}
    assert await drill.refusals() <= {(503, reason) for reason in UNRECORDED}
    assert drill.provider.begun == begun
    assert any(drill.spooled())
    await asyncio.to_thread(drill.postgres.standby.promote)
    await drill.all_are_ready()
    seen = await drill.phase("the standby is promoted", none_ready=True)
    assert seen.answers["200"]
    assert not any(drill.spooled())

    for each in drill.replicas:
        ended = asyncio.gather(each.end())
        await drill.phase("one is stopped")
        await ended
        await each.start()
    await drill.phase("all are new")

    drill.clients.stop()
    await asyncio.gather(drill.running, more)
    await quiet(drill.provider)
    await asyncio.gather(*(each.end() for each in drill.replicas))
    assert drill.clients.lost == lost
    check_ledger(drill)


def check_ledger(drill):
    """What has reached the provider is on record, once; what a client has whole, is so there."""
    outcome, table = schema.interceptions.c.outcome, schema.interceptions
    engine = drill.postgres.engine
    with engine.connect() as connection:
        query = sa.select(outcome, sa.func.count()).group_by(outcome)
        outcomes = dict(map(tuple, connection.execute(query)))
        still_open = connection.scalar(
            sa.select(sa.func.count()).select_from(table).where(table.c.ended_at.is_(None))
        )
    print(
        f"lost: {drill.clients.lost}; on record: {outcomes}; at the provider:"
        f" {drill.provider.begun}"
    )
    recorded = sum(outcomes.values())
    assert drill.provider.begun <= recorded <= drill.provider.begun + SLOTS
    assert outcomes["completed"] >= drill.clients.whole
    assert still_open == 0
    assert not any(drill.spooled())
    spent, reserved = ledger(engine)
    assert spent > reserved == 0
    assert is_balanced(engine)
