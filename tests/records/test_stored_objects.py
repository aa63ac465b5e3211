"""Who made what is found by its id, within a deadline; what a database can't hold is hashed."""

import asyncio
import socket
import threading

import pytest

from aibridged.records import schema
from aibridged.records.database import database_url, make_engine
from aibridged.records.facts import StoredObjectRecord
from aibridged.records.lookups import BOUNDS, LookupFailedError
from aibridged.records.rows import object_key
from aibridged.records.stored_objects import Maker, StoredObjects


@pytest.fixture
def new_object(clock):
    def make(object_id="resp_1", initiator_id="ann", **fields):
        return StoredObjectRecord(
            provider_name="openai",
            object_id=object_id,
            initiator_id=initiator_id,
            created_at=clock.wall(),
            **fields,
        )

    return make


@pytest.fixture
def opened():
    """Makes look-ups of a database, whose records are collected."""

    def make(engine, **options):
        recorded = []
        objects = StoredObjects(engine, lambda *facts, **_: recorded.extend(facts), **options)
        return objects, recorded

    return make


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a thread makes it so, and tells nobody
            await asyncio.sleep(0)


async def find(objects, object_id="resp_1", provider="openai", *, patient=False, settled=False):
    return await objects.find("bob", provider, object_id, patient=patient, settled=settled)


async def test_what_was_made_is_remembered_and_recorded(database, store, opened, new_object):
    objects, recorded = opened(database.engine)
    made = new_object(interception_id=None, is_background=True)
    objects.made(made)
    assert recorded == [made]
    assert await find(objects) == Maker("ann", None, True)
    store.write([], recorded)
    other, _ = opened(database.engine)
    assert await find(other) == Maker("ann", None, True)
    assert await find(other, "resp_2") is None
    assert await find(other, provider="another") is None


async def test_the_first_maker_stays_it(database, store, opened, new_object):
    store.write([], [new_object()])
    store.write([], [new_object(initiator_id="eve")])
    objects, _ = opened(database.engine)
    assert (await find(objects)).initiator_id == "ann"
    objects.made(new_object(initiator_id="eve"))
    assert (await find(objects)).initiator_id == "ann"


async def test_its_maker_may_tell_a_continuation_later(database, store, opened, new_object):
    later = [new_object(continuation="next"), new_object(continuation="eve's", initiator_id="eve")]
    objects, recorded = opened(database.engine)
    for made in (new_object(), *later, new_object()):
        objects.made(made)
    store.write([], recorded)
    other, _ = opened(database.engine)
    for known in (objects, other):
        assert await find(known) == Maker("ann", None, False, "next")


async def test_what_may_yet_get_a_continuation_is_looked_up_again(
    database, store, opened, new_object, new_start, new_facts
):
    start = new_start()
    made = new_object(interception_id=start.id)
    store.write([start], [made])
    objects, _ = opened(database.engine)
    assert (await find(objects)).continuation is None
    told = new_object(interception_id=start.id, continuation="next")
    store.write([], [told, *new_facts(start.id)])
    assert (await find(objects)).continuation == "next"
    store.write([], [new_object(continuation="never")])
    assert (await find(objects)).continuation == "next"


async def test_what_another_daemon_is_just_told_is_waited_for(database, store, opened, new_object):
    objects, _ = opened(database.engine)
    async with asyncio.TaskGroup() as group:
        finding = group.create_task(find(objects, patient=True))
        await until(lambda: objects._lookups._places.taken)
        await until(lambda: not objects._lookups._places.taken)
        store.write([], [new_object()])
    assert finding.result() == Maker("ann", None, False)


async def test_the_end_of_its_request_is_waited_for_where_it_decides(
    database, store, opened, new_object, new_start, new_facts
):
    start = new_start()
    store.write([start], [new_object(interception_id=start.id)])
    objects, _ = opened(database.engine)
    async with asyncio.TaskGroup() as group:
        finding = group.create_task(find(objects, settled=True))
        await until(lambda: objects._lookups._places.taken)
        await until(lambda: not objects._lookups._places.taken)
        told = new_object(interception_id=start.id, continuation="next")
        store.write([], [told, *new_facts(start.id)])
    assert finding.result().continuation == "next"


async def test_what_was_told_need_not_be_read_again(database, opened, new_object):
    objects, _ = opened(database.engine)
    objects.made(new_object(is_background=True))
    objects.told("openai", "resp_1")
    objects.told("openai", "resp_2")
    assert await find(objects) == Maker("ann", None, False)


@pytest.mark.parametrize("object_id", ["x" * 257, "r\0", "ré", "\ud800", "x" * 100_000])
async def test_an_id_that_no_index_holds(database, store, opened, new_object, object_id):
    assert len(object_key(object_id)) < schema.MAX_NAME
    store.write([], [new_object(object_id)])
    objects, _ = opened(database.engine)
    assert (await find(objects, object_id)).initiator_id == "ann"
    assert await find(objects, object_id + "x") is None


async def test_a_database_that_does_not_answer_is_not_waited_for(opened, tmp_path):
    """One that takes connections, and says nothing: each of its threads stays busy with it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgres://u@127.0.0.1:{silent.getsockname()[1]}/d"
        objects, _ = opened(make_engine(database_url(tmp_path, url)), deadline=0.05)
        for _ in range(BOUNDS.places + 2):
            with pytest.raises(LookupFailedError):
                await find(objects)
        assert objects._lookups._places.taken == BOUNDS.places_each
        named = [each for each in threading.enumerate() if each.name == "look-up"]
        assert len(named) == BOUNDS.places_each
        assert all(each.daemon for each in named)


async def test_one_without_the_table_says_so(opened, tmp_path):
    objects, _ = opened(make_engine(database_url(tmp_path)))
    with pytest.raises(LookupFailedError):
        await find(objects)


def test_makers_are_pruned_with_the_retention(database, store, new_object, clock):
    store.write([], [new_object("old")])
    clock.advance(60)
    young = new_object("young")
    store.write([], [young])
    assert store.prune(young.created_at, 10) == 0
    assert [row["object_id"] for row in database.rows(schema.stored_objects)] == ["young"]
