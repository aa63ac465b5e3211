"""The seam between the pipeline and whatever knows the callers."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Actor:
    """The authenticated person or robot behind a request."""

    id: str
    username: str


class Authenticator(Protocol):
    """Tells whose token it is."""

    async def authenticate(self, token: str | None) -> Actor | None:
        """The actor behind `token`, or None where the request may not pass."""
        ...
