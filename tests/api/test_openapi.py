"""The document says what the routes do."""

import json
import re

from multidict import CIMultiDict

from aibridged.api import problems
from aibridged.api.openapi import document
from aibridged.api.overview_routes import ROUTES as OVERVIEW
from aibridged.api.people import People
from aibridged.api.people_routes import people_routes
from aibridged.api.routes import ROUTES
from aibridged.api.spend_limits import ROUTES as SPEND_LIMITS
from aibridged.clock import SystemClock
from aibridged.core.auth import read_credentials
from aibridged.errors import ERRORS


async def no_problems():
    raise NotImplementedError("it is described, and not asked")


ALL = (*ROUTES, *OVERVIEW, *problems.routes(no_problems), *SPEND_LIMITS)


def test_every_route_stands_in_the_document():
    made = document(ALL)
    assert list(made["paths"]) == list(dict.fromkeys(route.path for route in ALL))
    for route in SPEND_LIMITS:
        path = made["paths"][route.path]
        assert path["servers"] == [{"url": "/"}]
        names = [each["name"] for each in path[route.method]["parameters"]]
        assert names == [each.name for each in route.parameters]
        assert ("requestBody" in path[route.method]) == (route.method == "post")
    for route in ROUTES:
        parameters = made["paths"][route.path]["get"]["parameters"]
        assert [each["name"] for each in parameters] == [each.name for each in route.parameters]
        for each in parameters:
            assert each["required"] == (f"{{{each['name']}}}" in route.path)


def test_every_header_that_authenticates_stands_in_the_document():
    made = document(ROUTES)
    schemes = made["components"]["securitySchemes"]
    assert made["security"] == [{name: []} for name in schemes]
    for scheme in schemes.values():
        name, value = scheme.get("name", "Authorization"), "aib_token"
        headers = {name: f"Bearer {value}" if name == "Authorization" else value}
        assert read_credentials(CIMultiDict(headers), session_first=True).token == value
    assert len(schemes) == 4


def test_every_code_stands_in_the_document():
    schema = document(ROUTES)["components"]["schemas"]["Error"]
    codes = schema["properties"]["error"]["properties"]["code"]["enum"]
    assert set(codes) == {kind.code for kind in ERRORS}


def test_every_answer_has_a_shape():
    made = document(ALL)
    for route in ALL:
        for response in made["paths"][route.path][route.method]["responses"].values():
            (content,) = response["content"].values()
            assert content["schema"]
    names = {
        name.rpartition("/")[2] for name in re.findall(r'"(#/components/[^"]*)"', json.dumps(made))
    }
    assert names == set(made["components"]["schemas"])


def test_the_routes_of_people_stand_in_the_document():
    routes = people_routes(People(None, SystemClock(), None, None))
    made = document((*ROUTES, *routes, *SPEND_LIMITS))
    for route in routes:
        described = made["paths"][route.path][route.method]
        names = re.findall(r"\{(\w+)\}", route.path)
        of_path = [each["name"] for each in described["parameters"] if each["in"] == "path"]
        assert of_path == names, route.path
        assert ("requestBody" in described) == (route.body is not None)
        assert ("403" in described["responses"]) == (not route.path.startswith("/me"))
