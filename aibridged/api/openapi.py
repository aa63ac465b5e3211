"""OpenAPI document, generated from the table of routes."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from aibridged import __version__
from aibridged.core.auth import API_KEY, SESSION_TOKEN, TOKEN_HEADERS
from aibridged.errors import ERRORS

_JSON = "application/json"

# Any one of them, with a gateway token.
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    **{
        name: {"type": "apiKey", "in": "header", "name": header}
        for name, header in (
            ("token", TOKEN_HEADERS[0]),
            ("apiKey", API_KEY),
            ("sessionToken", SESSION_TOKEN),
        )
    },
}


class Parameter(msgspec.Struct, frozen=True):
    """A query or path parameter; an integer if it has bounds."""

    name: str
    description: str
    where: str = "query"
    minimum: int | None = None
    maximum: int | None = None


class Described(Protocol):
    """The parts of a route that the document describes.

    `at_root` says that its path is whole, and not below the gateway's own prefixes.
    """

    @property
    def path(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def shape(self) -> Any: ...
    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    @property
    def for_admins(self) -> bool: ...
    @property
    def method(self) -> str: ...
    @property
    def body(self) -> Any: ...
    @property
    def at_root(self) -> bool: ...
    @property
    def content_type(self) -> str: ...


def document(routes: Iterable[Described]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    described = list(routes)
    shapes = {shape for route in described for shape in (route.shape, route.body) if shape}
    ordered = sorted(shapes, key=str)
    made, schemas = msgspec.json.schema_components(
        ordered, ref_template="#/components/schemas/{name}"
    )
    shown = dict(zip(ordered, made, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        path = paths.setdefault(route.path, {"servers": [{"url": "/"}]} if route.at_root else {})
        path[route.method] = _operation(route, shown)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "aibridged",
            "version": __version__,
            "description": "The record, what runs now, people and spend limits: admins see and "
            "change all, other users their own.",
        },
        "servers": [{"url": "/api/v2/aibridge"}, {"url": "/api/v2/ai-gateway"}],
        "security": [{name: []} for name in _SCHEMES],
        "paths": paths,
        "components": {
            "securitySchemes": _SCHEMES,
            "schemas": {**schemas, "Error": _error()},
        },
    }


def _operation(route: Described, shown: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    statuses = (400, 401, *([403] if route.for_admins else []), 404, 429, 503)
    failure = {
        "description": "Why not",
        "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    done: dict[str, Any] = {"204": {"description": "It is done"}}
    if route.shape is not None:
        answer = {route.content_type: {"schema": shown[route.shape]}}
        done = {"200": {"description": "The answer", "content": answer}}
    body = {}
    if route.body is not None:
        content = {_JSON: {"schema": shown[route.body]}}
        body = {"requestBody": {"required": True, "content": content}}
    return {
        "summary": route.summary,
        "parameters": [_parameter(each) for each in route.parameters],
        **body,
        "responses": {
            **done,
            **{str(status): failure for status in statuses},
        },
    }


def _parameter(each: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if each.minimum is not None:
        schema = {"type": "integer", "minimum": each.minimum, "maximum": each.maximum}
    elif each.where == "path":
        schema["minLength"] = 1
    return {
        "name": each.name,
        "in": each.where,
        "required": each.where == "path",
        "description": each.description,
        "schema": schema,
    }


def _error() -> dict[str, Any]:
    codes = {"type": "string", "enum": sorted({kind.code for kind in ERRORS})}
    return {
        "type": "object",
        "required": ["type", "message", "error"],
        "properties": {
            "type": {"const": "error"},
            "message": {"type": "string"},
            "error": {
                "type": "object",
                "required": ["type", "code", "message", "param"],
                "properties": {
                    "type": {"type": "string"},
                    "code": codes,
                    "message": {"type": "string"},
                    "param": {"type": "null"},
                },
            },
        },
    }
