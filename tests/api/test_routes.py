"""Which question a path and its query are; what none understands is refused, not ignored."""

import pytest

from aibridged.api.filters import BadFilterError, read_filter
from aibridged.api.routes import ROUTES, Route, find, read_query
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
    found, names = find("GET", path, ROUTES)
    assert (found.path, names.get("id", "")) == (route, id)


def test_a_path_without_names_comes_first_and_each_method_has_its_route():
    def made(path, method="get"):
        return Route(path, path, None, None, method=method)

    one, mine, change = made("/people/{id}"), made("/people/me"), made("/people/{id}", "patch")
    routes = (one, mine, change)
    assert find("GET", "/people/me", routes) == (mine, {})
    assert find("HEAD", "/people/a%20b", routes) == (one, {"id": "a b"})
    assert find("PATCH", "/people/x", routes) == (change, {"id": "x"})
    with pytest.raises(GatewayError) as raised:
        find("DELETE", "/people/x", routes)
    assert (raised.value.kind.status, raised.value.allow) == (405, "GET, HEAD, PATCH")


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
        find("GET", path, ROUTES)
    assert raised.value.kind.status == 404


@pytest.mark.parametrize(
    ("path", "raw_query", "said"),
    [
        ("/interceptions", "colour=red", "'colour' is not a parameter of this route"),
        ("/interceptions/x", "limit=1", "Available parameters: text_limit"),
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
        read_filter(read_query(raw_query, find("GET", path, ROUTES)[0]), "me", None)


def test_every_route_has_a_summary_and_parameters_of_its_own():
    for route in ROUTES:
        assert route.summary
        names = [each.name for each in route.parameters]
        assert len(set(names)) == len(names)
