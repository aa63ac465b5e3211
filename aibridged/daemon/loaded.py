"""The settings in force with their sources, as the last load has left them."""

from collections.abc import Sequence

import msgspec

from aibridged.config.declare import Option
from aibridged.config.resolution import Resolution, Value


class Loaded(msgspec.Struct):
    """The values with their sources, the flags that wait for a restart, and the warnings."""

    values: Sequence[Value] = ()
    waiting: Sequence[str] = ()
    warnings: Sequence[str] = msgspec.field(default_factory=tuple)

    def began(self, resolution: Resolution) -> None:
        """Note what the daemon was started with."""
        self.values, self.warnings = resolution.values, resolution.warnings

    def reloaded(self, resolution: Resolution, waiting: Sequence[Option]) -> None:
        """Note a reload; settings that wait for a restart keep their values."""
        kept = {option.name for option in waiting}
        before = {value.name: value for value in self.values}
        self.values = [
            before.get(value.name, value) if value.name in kept else value
            for value in resolution.values
        ]
        self.waiting = [option.flag for option in waiting]
        self.warnings = resolution.warnings
