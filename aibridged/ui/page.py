"""Pages and visits: what a view is given, and what it returns."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from aibridged.api.routes import Events
from aibridged.identity.base import Actor


class Role(StrEnum):
    """Who may see a page: anybody, those who are signed in, or administrators."""

    PUBLIC = "public"
    PERSON = "person"
    ADMIN = "admin"


class Ask(Protocol):
    """Asks the HTTP API in the visitor's name: `await ask("/usage", by="day")`."""

    async def __call__(
        self,
        path: str,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        **parameters: str,
    ) -> Any:
        """The decoded answer.

        Raises:
            GatewayError: as for a request.
        """
        ...


class Pieces(Protocol):
    """Asks for what may be large: the bytes of the answer, as they are made."""

    def __call__(self, path: str, **parameters: str) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a page by a visitor who is signed in.

    `path` is below the root of the page, `names` are those in it, `form` has the fields of a POST,
    whose CSRF token has been checked. `csrf` goes into every form.
    """

    actor: Actor
    path: str
    names: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    now: datetime
    csrf: str
    ask: Ask
    pieces: Pieces

    @property
    def id(self) -> str:
        return self.names["id"]


@dataclass(frozen=True, slots=True)
class Html:
    """A page: a template with its values."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another page, below the root; what is `said` is shown there once."""

    path: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """A file: the bytes of `content`, or its pieces as they are made."""

    name: str
    content_type: str
    content: bytes | AsyncIterator[bytes]


Answer = Html | Redirect | Download | Events
View = Callable[[Visit], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Page:
    """A path below the root, with names in braces for single segments, and its views.

    Where it stands in the navigation, `nav` is its name there. `key` goes there after a `g`. `post`
    answers a form, only to administrators where `admin_only_post`. Where it `needs_users`, it is in
    the navigation only of a gateway that has users of its own.
    """

    path: str
    title: str
    view: View
    role: Role = Role.PERSON
    nav: str = ""
    key: str = ""
    post: View | None = None
    admin_only_post: bool = False
    needs_users: bool = False
