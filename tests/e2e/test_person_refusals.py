"""Refusals that concern a person: in the log line, in the metric, and counted for the reports."""

import pytest
import sqlalchemy as sa
from loguru import logger
from prometheus_client.parser import text_string_to_metric_families

from aibridged.config.kinds import Address
from aibridged.identity.tables import group_members, groups
from aibridged.identity.tokens import TokenStore
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, UsageBy
from tests.viewers import EVERYTHING

MESSAGES = "/v1/messages"
BODY = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def ann(database, clock):
    """A token of a user in two groups."""
    store = TokenStore(database.engine, clock)
    user = store.create_user("ann")
    with database.engine.begin() as connection:
        for name in ("core", "contractors"):
            connection.execute(
                sa.insert(groups).values(id=name, name=name, created_at=clock.wall())
            )
            connection.execute(
                sa.insert(group_members).values(
                    group_id=name, user_id=user.id, by_sign_in=False, created_at=clock.wall()
                )
            )
    return store.create_token("ann", name="laptop", lifetime=None)[1].reveal()


async def test_a_persons_refusals_are_told_and_counted(recording, fake, client, clock, ann):
    lines = []
    sink = logger.add(lambda line: lines.append(line.record), level=0)
    gateway = await recording.start(
        auth="token",
        rate_limit=1,
        allow_byok=False,
        prometheus_enable=True,
        prometheus_address=Address("127.0.0.1", 0),
    )

    async def ask(**headers):
        async with client.post(gateway.url + MESSAGES, json=BODY, headers=headers) as response:
            await response.read()
            return response.headers.get("X-Aibridge-Reason")

    assert await ask(Authorization=f"Bearer {ann}") is None
    assert await ask(Authorization=f"Bearer {ann}") == "rate_limited"
    clock.advance(60)
    assert await ask(**{"X-Coder-Token": ann, "X-Api-Key": "sk-own"}) == "byok_disabled"
    # Of somebody unknown there is no person to count for.
    assert [await ask(Authorization="Bearer zebra") for _ in range(2)][1] == "rate_limited"
    async with client.get(
        gateway.metrics_urls[0], headers={"Accept-Encoding": "identity"}
    ) as response:
        scraped = await response.text()
    logger.remove(sink)
    refused = [line["extra"] for line in lines if line["extra"].get("reason") == "rate_limited"]
    assert [line.get("username") for line in refused] == ["ann", None]
    told = {
        (sample.labels["reason"], sample.labels["group"]): sample.value
        for family in text_string_to_metric_families(scraped)
        for sample in family.samples
        if sample.name == "aibridged_person_refusals_total"
    }
    assert told == {
        (reason, group): 1
        for reason in ("byok_disabled", "rate_limited")
        for group in ("contractors", "core")
    }
    await recording.stop()
    [used] = Query(recording.database.engine, clock, EVERYTHING).usage([UsageBy.USER], Filter())
    assert (used.key, used.interceptions, used.refused) == ("ann", 1, 2)
