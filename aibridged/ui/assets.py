"""Static files of the page, in memory, under a path that changes with them."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_DIGEST = 12


class Asset(NamedTuple):
    """A file, as it is served."""

    content: bytes
    content_type: str


class Assets:
    """All files of `static/`. `digest` is part of their path, so that browsers may keep them."""

    def __init__(self) -> None:
        self._files: dict[str, Asset] = {}
        made = hashlib.sha256()
        for file in sorted(
            files("aibridged.ui").joinpath("static").iterdir(), key=lambda f: f.name
        ):
            suffix = file.name[file.name.rfind(".") :]
            if suffix in _TYPES:
                content = file.read_bytes()
                made.update(content)
                self._files[file.name] = Asset(content, _TYPES[suffix])
        self.digest = made.hexdigest()[:_DIGEST]

    def path(self, name: str) -> str:
        """The path of a file, below the root of the page."""
        return f"/assets/{self.digest}/{name}" if name in self._files else f"/assets/missing/{name}"

    def find(self, digest: str, name: str) -> Asset | None:
        """The file at a path; None where there is none, or another version is meant."""
        return self._files.get(name) if digest == self.digest else None
