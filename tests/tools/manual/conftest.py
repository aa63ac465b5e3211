"""What the tests of the manual share: the real shells, driven as a person drives them."""

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aibridged.cli.tree import Command
from tools.manual.commands import command_line

ROOT = Path(__file__).parents[3]
COMPLETIONS = ROOT / "completions"
_PATIENCE_S = 20.0

# A key shows the line, between marks that nobody types; another puts all that fits into it.
_SHOW, _ALL = "\x07", "\x18a"
_BASH = r"""
source {completions}/aibridged.bash
bind 'set completion-query-items 0'
bind '"\C-xa": insert-completions'
bind -x '"\C-g": printf "<%s>\n" "<$READLINE_LINE>"'
PS1=
"""
_ZSH = r"""
autoload -U compinit && compinit -u -D
fpath=({completions} $fpath)
autoload -U _aibridged && compdef _aibridged aibridged
zstyle ':completion:all:*' completer _all_matches _complete
zstyle ':completion:all:*' insert yes
zle -C all complete-word _generic && bindkey '^Xa' all
show() {{ print -r -- "<<$BUFFER>>" }}
zle -N show && bindkey '^G' show
unsetopt list_beep
PS1=
"""


@pytest.fixture(scope="session")
def root() -> Command:
    return command_line()


class Interactive:
    """A shell on a terminal."""

    def __init__(self, command: list[str], setup: str, environ: dict[str, str]) -> None:
        self._terminal, far = pty.openpty()
        self._process = subprocess.Popen(
            command,
            stdin=far,
            stdout=far,
            stderr=far,
            env=environ,
            cwd=environ["HOME"],
            start_new_session=True,
        )
        os.close(far)
        script = Path(environ["HOME"], "setup")
        script.write_text(setup)
        self._type(f". {script}; echo 'SET' 'UP'\r")
        self._read_until(r"SET UP\r\n")

    def all_matches(self, line: str) -> str:
        """The line, with everything that completes its last word put into it."""
        return self._after(line, _ALL)

    def tab(self, line: str) -> str:
        return self._after(line, "\t")

    def stop(self) -> None:
        os.close(self._terminal)
        self._process.kill()
        self._process.wait()

    def _after(self, line: str, key: str) -> str:
        # Each key is pressed when the one before has had its effect.
        self._type(f"{line}{_SHOW}")
        self._read_until(rf"<<{re.escape(line.rstrip())}\s*>>")
        self._type(f"{key}{_SHOW}")
        shown = self._read_until(r"<<(.*?)>>")
        self._type("\x15")
        return shown[1]

    def _type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def _read_until(self, pattern: str) -> re.Match[str]:
        seen = ""
        while not (found := re.search(pattern, seen)):
            readable, _, _ = select.select([self._terminal], [], [], _PATIENCE_S)
            assert readable, f"{pattern!r} never came; the terminal shows {seen!r}"
            seen += os.read(self._terminal, 65536).decode(errors="replace")
        return found


class Fish:
    """Fish tells what it would complete without a terminal."""

    def __init__(self, program: str, environ: dict[str, str]) -> None:
        self._program = program
        self._environ = environ

    def candidates(self, line: str) -> dict[str, str]:
        """What completes the last word, and how each is described."""
        code = f"source {COMPLETIONS}/aibridged.fish; complete --do-complete $argv[1]"
        said = subprocess.run(
            [self._program, "--no-config", "-c", code, line],
            env=self._environ,
            cwd=self._environ["HOME"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stderr == ""
        lines = (found.partition("\t") for found in said.stdout.splitlines())
        return {name: about for name, _, about in lines}


_PROGRAM = """\
#!{python}
from aibridged.cli import completion, main
completion.TIME_LIMIT_S = 20  # the machine may be busy
main()
"""


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the shells get: an `aibridged` on the path, a home of their own, no settings."""
    home = tmp_path_factory.mktemp("home")
    program = home / "bin" / "aibridged"
    program.parent.mkdir()
    program.write_text(_PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    return {
        "HOME": str(home),
        "PATH": f"{program.parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
        "COLUMNS": "2000",
        "CODER_STATE_DIR": str(home / "state"),
        "CODER_AIBRIDGE_MCP_SERVER_0_ID": "docs",
        "CODER_AIBRIDGE_MCP_SERVER_0_URL": "https://mcp.example.com/mcp",
    }


@pytest.fixture(scope="session")
def bash(program: Callable[[str], str], environ: dict[str, str]) -> Iterator[Interactive]:
    command = [program("bash"), "--noprofile", "--norc", "-i"]
    shell = Interactive(command, _BASH.format(completions=COMPLETIONS), environ)
    yield shell
    shell.stop()


@pytest.fixture(scope="session")
def zsh(program: Callable[[str], str], environ: dict[str, str]) -> Iterator[Interactive]:
    command = [program("zsh"), "-f", "-i"]
    shell = Interactive(command, _ZSH.format(completions=COMPLETIONS), environ)
    yield shell
    shell.stop()


@pytest.fixture(scope="session")
def fish(program: Callable[[str], str], environ: dict[str, str]) -> Fish:
    return Fish(program("fish"), environ)
