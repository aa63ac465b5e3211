"""Memory for what is made of the same few short texts again and again."""

from collections.abc import Callable
from typing import TypeVar

from aibridged.gateway_tokens import blanked

_MOST = 1024
_SHORT = 256  # characters of a key

Made = TypeVar("Made")


class Remembered(dict[tuple[str | bool | None, ...], Made]):
    """What `make` returns, by its arguments: `remembered["model", name]`.

    It is made again where they are long or hold a gateway token: secrets aren't kept. Threads may
    share it.
    """

    def __init__(self, make: Callable[..., Made]) -> None:
        self._make = make

    def __missing__(self, key: tuple[str | bool | None, ...]) -> Made:
        made = self._make(*key)
        text = "\n".join([part for part in key if isinstance(part, str)])
        if len(text) <= _SHORT and blanked(text) == text:
            if len(self) >= _MOST:
                self.clear()
            self[key] = made
        return made
