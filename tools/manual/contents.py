"""All generated files: pages and completions, by their paths in the source tree."""

from pathlib import PurePosixPath

from tools.manual.bash import bash
from tools.manual.commands import command_line
from tools.manual.fish import fish
from tools.manual.pages import command_pages
from tools.manual.settings import settings_page
from tools.manual.telemetry import telemetry_page
from tools.manual.zsh import zsh

DIRECTORIES = ("man", "completions")


def contents() -> dict[PurePosixPath, str]:
    """The texts by path. The same tree gives the same texts."""
    root = command_line()
    pages = {
        **dict(command_pages(root)),
        "aibridged.yaml.5": settings_page(),
        "aibridged-metrics.7": telemetry_page(),
    }
    completions = {
        "aibridged.bash": bash(root),
        "_aibridged": zsh(root),
        "aibridged.fish": fish(root),
    }
    return {
        PurePosixPath(directory, name): text
        for directory, files in zip(DIRECTORIES, (pages, completions), strict=True)
        for name, text in files.items()
    }
