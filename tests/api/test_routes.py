"""Which question a path and its query are; what none understands is refused, not ignored."""

import pytest

from aibridged.api.filters import BadFilterError, read_filter
from aibridged.api.routes import ROUTES, find, read_query
from aibridged.errors import GatewayError


@pytest.mark.parametrize(
    ("path", "route", "id"),
    [
        ("/interceptions", "/interceptions", ""),
        ("/sessions/a%2Fb", "/sessions/{id}", "a/b"),
        ("/sessions/a%2Fb/interceptions", "/sessions/{id}/interceptions", "a/b"),
        ("/providers", "/providers", ""),
        ("/models", "/models", ""),
        ("/usage", "/usage", ""),
    ],
)
def test_paths(path, route, id):
    found, found_id = find(path)
    assert (found.path, found_id) == (route, id)


@pytest.mark.parametrize(
    "path",
    [
        "/models/x",
        "/interceptions/a/b",
        "/nothing",
        "/",
        "/sessions/a/",
        "/sessions//interceptions",
        "/sessions/a/b",
        "/sessions/a/interceptions/b",
    ],
)
def test_no_paths(path):
    with pytest.raises(GatewayError) as raised:
        find(path)
    assert raised.value.kind.status == 404


@pytest.mark.parametrize(
    ("path", "raw_query", "said"),
    [
        ("/interceptions", "colour=red", "'colour' is not a parameter of this route"),
        ("/interceptions/x", "limit=1", "There are none"),
        ("/models", "after_id=", "'after_id' is not a parameter"),
        ("/sessions", "after_id=x", "'after_id' is not a parameter"),
        ("/interceptions", "limit=1&limit=2", "twice"),
        ("/interceptions", "limit=", "from 0 to 1000"),
        ("/interceptions", "offset=-1", "from 0 to"),
        ("/interceptions", "offset=1&after_id=x", "mutually exclusive"),
        ("/interceptions", "q=%ff", "UTF-8"),
    ],
)
def test_nothing_that_was_asked_is_ignored(path, raw_query, said):
    with pytest.raises(BadFilterError, match=said):
        read_filter(read_query(raw_query, find(path)[0]), "me", None)


def test_every_route_has_a_summary_and_parameters_of_its_own():
    for route in ROUTES:
        assert route.summary
        names = [each.name for each in route.parameters]
        assert len(set(names)) == len(names)
