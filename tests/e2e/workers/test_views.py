"""What one worker is asked, all answer; and what is changed at one, is changed for all."""

import asyncio
import json
import os
import re
import signal

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aibridged.clock import SystemClock
from aibridged.fake_provider import Script
from aibridged.identity.tokens import TokenStore

from .conftest import PATH, REQUEST

API = "/api/v2/aibridge"


@pytest.fixture
def tokens(postgres_database):
    """An administrator's token, and one of a user's with its id."""
    store = TokenStore(postgres_database.engine, SystemClock())
    store.create_user("root", is_admin=True)
    store.create_user("alice")
    _, admin = store.create_token("root", name="laptop", lifetime=None)
    info, user = store.create_token("alice", name="laptop", lifetime=None)
    return admin.reveal(), user.reveal(), info.id


class Client:
    """Asks on a new connection each time, so that any worker may answer."""

    def __init__(self, url, token):
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def __call__(self, method, path, **options):
        async with (
            aiohttp.ClientSession(headers=self._headers) as session,
            session.request(method, self._url + path, **options) as response,
        ):
            body = await response.read()
            return response.status, json.loads(body) if body[:1] in (b"{", b"[") else body

    async def many(self, method, path, count=8, **options):
        return await asyncio.gather(*(self(method, path, **options) for _ in range(count)))

    async def message(self):
        try:
            status, body = await self("POST", PATH, json=REQUEST)
        except (aiohttp.ClientError, OSError):
            return None
        return status, b"message_stop" in body if isinstance(body, bytes) else body["error"]["code"]


async def scraped(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sums(samples, name):
    return sum(value for (known, *_), value in samples.items() if known == name)


async def test_whichever_worker_is_asked(start_group, fake, tokens, command, tmp_path):
    admin_token, user_token, token_id = tokens
    group = await start_group(
        "--prometheus-enable=true",
        "--prometheus-address=127.0.0.1:0",
        CODER_AIBRIDGE_AUTH="token",
        CODER_STATE_DIR=str(tmp_path / "state"),
    )
    admin, user = Client(group.url, admin_token), Client(group.url, user_token)
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}, times=12))
    loop = asyncio.get_running_loop()
    running = [loop.create_task(user.message()) for _ in range(12)]
    await fake.received(12)

    # Running requests: all are listed by each, and any ends any.
    lists = [body for _, body in await admin.many("GET", f"{API}/live")]
    assert [each["count"] for each in lists] == [12] * 8
    ids = {row["id"] for row in lists[0]["results"]}
    assert len(ids) == 12
    ended = [await admin("POST", f"{API}/live/{id}/end") for id in sorted(ids)[:4]]
    assert [status for status, _ in ended] == [200] * 4
    assert {body["ended_by"] for _, body in ended} == {"root"}
    assert (await admin("POST", f"{API}/live/{'0' * 16}/end"))[0] == 404
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {admin_token}"}) as session,
        session.get(f"{group.url}{API}/live/events") as events,
    ):
        assert await events.content.readline() == b"event: snapshot\n"
        snapshot = json.loads((await events.content.readline()).removeprefix(b"data: "))
        assert snapshot["count"] >= 8
    gate.set()
    results = await asyncio.gather(*running)
    assert results.count((200, True)) >= 8

    # Status and metrics are those of both.
    documents = [body for _, body in await admin.many("GET", f"{API}/status")]
    assert {document["pid"] for document in documents} == {group.daemon.process.pid}
    workers = documents[0]["workers"]
    assert [each["pid"] for each in workers] == group.workers
    assert {each["state"] for each in workers} == {"serving"}
    told = await command("status", CODER_STATE_DIR=str(tmp_path / "state"))
    assert f"Worker 2: serving, process {group.workers[1]}" in told.out
    url = await group.daemon.metrics_url()
    before = await scraped(url)
    name = "coder_ai_gateway_interceptions_total"
    assert sums(before, name) == 12
    assert sums(before, "aibridged_ready") == 1
    assert {key[1][1] for key in before if key[0] == "process_open_fds"} == {"1", "2"}
    assert sums(before, "aibridged_workers") == 4, "2 are wanted, and 2 serve"
    assert [key for key in before if key[0] == "aibridged_worker_restarts_total"] == [
        ("aibridged_worker_restarts_total", ("worker", "1")),
        ("aibridged_worker_restarts_total", ("worker", "2")),
    ]

    # A revocation counts for all of them at once.
    assert set(await asyncio.gather(*(user.message() for _ in range(8)))) == {(200, True)}
    assert (await admin("DELETE", f"{API}/tokens/{token_id}"))[0] in (200, 204)
    refused = await asyncio.gather(*(user.message() for _ in range(8)))
    assert {status for status, _ in refused} == {401}

    # The lines say which worker has served.
    lines = group.said("POST /anthropic/v1/messages 200")
    assert {re.search(r"worker=(\d)", line)[1] for line in lines} == {"1", "2"}

    # A worker that dies takes no count along.
    known = sums(await scraped(url), name)
    os.kill(group.workers[0], signal.SIGKILL)
    await group.until("was killed by SIGKILL")
    assert sums(await scraped(url), name) == known
    await group.until("serves again")
    assert sums(await scraped(url), name) == known
    [status] = [body for _, body in await admin.many("GET", f"{API}/status", 1)]
    assert sorted(each["restarts"] for each in status["workers"]) == [0, 1]
    group.daemon.process.terminate()
    assert await group.ended() == 0
