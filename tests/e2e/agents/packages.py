"""Where the agents come from, and their installation: each into a folder of its own.

`python -m tests.e2e.agents.packages FOLDER [NAME …]` installs those that are named, or all.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NODE = "node"
"""A Node for the agents that need a newer one than the system's may be."""

_INSTALL_S = 600


@dataclass(frozen=True)
class Package:
    """A package of npm's or PyPI's (with what it needs beside it), and the program that it has."""

    name: str
    registry: str
    package: str
    program: str
    beside: tuple[str, ...] = ()
    python: tuple[int, int] = (3, 11)
    """The oldest Python that it runs on."""


PACKAGES = (
    Package("claude", "npm", "@anthropic-ai/claude-code@2.1.332", "claude"),
    # The oldest whose sign-in at a gateway is held.
    Package("claude-2.1.197", "npm", "@anthropic-ai/claude-code@2.1.197", "claude"),
    Package("codex", "npm", "@openai/codex@0.171.0", "codex"),
    Package("opencode", "npm", "opencode-ai@1.18.33", "opencode"),
    Package("kilo", "npm", "@kilocode/cli@7.7.7", "kilo"),
    Package("qwen", "npm", "@qwen-code/qwen-code@0.24.4", "qwen", (NODE,)),
    Package("cline", "npm", "cline@3.0.65", "cline", (NODE,)),
    Package("copilot", "npm", "@github/copilot@1.0.102", "copilot", (NODE,)),
    Package("continue", "npm", "@continuedev/cli@1.5.47", "cn", (NODE,)),
    Package("pi", "npm", "@earendil-works/pi-coding-agent@0.74.2", "pi", (NODE,)),
    Package("aider", "pypi", "aider-chat==0.86.2", "aider", python=(3, 12)),
    Package("gptme", "pypi", "gptme==0.35.1", "gptme"),
    Package("llm", "pypi", "llm==0.36", "llm", ("llm-anthropic==0.30",)),
    Package("mini", "pypi", "mini-swe-agent==2.4.6", "mini"),
    Package("vibe", "pypi", "mistral-vibe==3.0.2", "vibe", python=(3, 12)),
    Package("fast-agent", "pypi", "fast-agent-mcp==0.10.48", "fast-agent", python=(3, 12)),
    Package("openhands", "pypi", "openhands==1.16.0", "openhands", python=(3, 12)),
)
_NODE_22 = Package(NODE, "npm", "node@22", "node")


def program(folder: Path, package: Package) -> Path:
    """Where a package's program is, if it is installed."""
    bin = "node_modules/.bin" if package.registry == "npm" else "bin"
    return folder / package.name / bin / package.program


def node(folder: Path) -> Path:
    """Where the newer Node is, if it is installed."""
    return folder / NODE / "node_modules" / "node" / "bin"


def install(folder: Path, package: Package) -> str | None:
    """Install a package unless it is there; what was in the way, or None."""
    if program(folder, package).exists():
        return None
    place = folder / package.name
    place.mkdir(parents=True, exist_ok=True)
    if NODE in package.beside and (failure := install(folder, _NODE_22)):
        return failure
    if package.registry == "npm":
        if shutil.which("npm") is None:
            return "there is no npm"
        quiet = ("--silent", "--no-audit", "--no-fund", "--no-save")
        commands: list[Sequence[str]] = [
            ("npm", "install", *quiet, "--prefix", str(place), package.package)
        ]
    else:
        python = _python(package.python)
        if python is None:
            return f"there is no Python {'.'.join(map(str, package.python))}"
        pip = (str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check")
        commands = [(python, "-m", "venv", str(place)), (*pip, package.package, *package.beside)]
    path = f"{node(folder)}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        try:
            subprocess.run(
                command, check=True, timeout=_INSTALL_S, env={**os.environ, "PATH": path}
            )
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
    return None if program(folder, package).exists() else f"it has no {package.program}"


def _python(oldest: tuple[int, int]) -> str | None:
    """A Python of this version, or one of the next two."""
    if oldest <= sys.version_info[:2] <= (3, 13):
        return sys.executable
    major, minor = oldest
    installed = Path.home() / ".pyenv" / "versions"
    for each in (minor, minor + 1):
        candidates = [*sorted(installed.glob(f"{major}.{each}.*/bin/python3"))]
        if found := shutil.which(f"python{major}.{each}"):
            candidates.append(Path(found))
        for candidate in candidates:
            if subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
                return str(candidate)
    return None


def main(folder: str, *names: str) -> None:
    """Install, and say what couldn't be; an agent that was asked for by its name must be."""
    failed = False
    for package in PACKAGES:
        if names and package.name not in names:
            continue
        failure = install(Path(folder).resolve(), package)
        print(f"{package.name:12}{package.package:40}{failure or 'installed'}", flush=True)
        failed |= failure is not None
    if names and failed:
        raise SystemExit("NOT TESTED: an agent that was asked for could not be installed.")


if __name__ == "__main__":
    main(*sys.argv[1:])
