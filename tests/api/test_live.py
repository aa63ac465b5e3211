"""Running requests over the HTTP API: who sees and ends which."""

import pytest

from aibridged.api.filters import BadFilterError
from aibridged.api.live import MAX_LIMIT, LiveApi
from aibridged.api.live_feed import LiveFeed
from aibridged.api.routes import Call
from aibridged.errors import GatewayError
from aibridged.identity.tables import StoreUnavailableError
from tests.api.test_live_feed import ADMIN, ANN, BOB, active, slices, start

__all__ = ["active", "slices"]


class Notes(list):
    """An audit log, which may be away."""

    is_away = False

    def __call__(self, actor, target, state):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.append((actor, target, state["user"]))


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def live(active, clock, slices, notes):
    return LiveApi(active, clock, slices, LiveFeed(active, clock, slices), notes)


def call(actor, id="", **parameters):
    owner = None if actor.is_admin else actor.id
    return Call(actor, owner, {"id": id}, parameters)


async def ids(live, actor, **parameters):
    page = await live.page(call(actor, **parameters))
    return [each.id for each in page.results], page.count, page.more


async def test_admins_see_all_and_others_their_own(live, active):
    start(active, "1", ANN)
    start(active, "2", BOB)
    assert await ids(live, ADMIN) == (["2", "1"], 2, False)
    assert await ids(live, ADMIN, order="oldest") == (["1", "2"], 2, False)
    assert await ids(live, ANN) == (["1"], 1, False)
    assert await ids(live, ANN, user="bob") == ([], 0, False)


async def test_they_are_found_by_person_and_model(live, active):
    start(active, "1", ANN)
    start(active, "2", BOB).model = "m-2"
    assert (await ids(live, ADMIN, user="ann"))[0] == ["1"]
    assert (await ids(live, ADMIN, user="bob-id"))[0] == ["2"]
    assert (await ids(live, ADMIN, user="me"))[0] == []
    assert (await ids(live, ADMIN, model="m-2"))[0] == ["2"]


async def test_they_come_in_pages(live, active):
    for number in range(5):
        start(active, f"{number}", ANN)
    assert await ids(live, ADMIN, limit="2") == (["4", "3"], 5, True)
    assert await ids(live, ADMIN, limit="2", offset="2") == (["2", "1"], 5, True)
    assert await ids(live, ADMIN, limit="2", offset="4") == (["0"], 5, False)


@pytest.mark.parametrize(
    "parameters", [{"limit": f"{MAX_LIMIT + 1}"}, {"offset": "-1"}, {"order": "any"}]
)
async def test_a_page_has_bounds(live, parameters):
    with pytest.raises(BadFilterError):
        await live.page(call(ADMIN, **parameters))


@pytest.mark.parametrize("actor", [ADMIN, ANN])
@pytest.mark.parametrize("id", ["1", "i-1"])
async def test_one_is_ended_by_admins_and_by_who_made_it(live, active, notes, actor, id):
    request = start(active, "1", ANN)
    request.is_called = lambda asked: asked in ("1", "i-1")
    ended = await live.end(call(actor, id))
    assert (ended.id, ended.ended_by) == ("1", actor.username)
    assert request.ended_by is actor
    assert notes == [(actor.username, "i-1", "ann-id")]


async def test_nobody_ends_what_is_anothers(live, active, notes):
    request = start(active, "1", ANN)
    with pytest.raises(GatewayError) as raised:
        await live.end(call(BOB, "1"))
    assert raised.value.kind.status == 404
    assert request.ended_by is None
    assert notes == []


async def test_a_second_time_changes_nothing(live, active, notes):
    start(active, "1", ANN)
    await live.end(call(ADMIN, "1"))
    again = await live.end(call(ANN, "1"))
    assert again.ended_by == "admin"
    assert len(notes) == 1


async def test_what_has_just_ended_can_not_be_ended(live, active, notes):
    start(active, "1", ANN).is_over = True
    with pytest.raises(GatewayError) as raised:
        await live.end(call(ADMIN, "1"))
    assert raised.value.kind.status == 409
    assert notes == []


async def test_one_is_ended_though_the_audit_log_is_away(live, active, notes):
    notes.is_away = True
    request = start(active, "1", ANN)
    await live.end(call(ADMIN, "1"))
    assert request.ended_by is ADMIN
