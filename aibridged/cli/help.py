"""Help output, in the same layout for every command.

Typer's own is a table with a column for the flag; names as long as
`--aibridge-circuit-breaker-failure-threshold` leave no space in it. Here a flag has its own line.
"""

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from aibridged.cli.tree import Argument, Command, Flag
from aibridged.config import render

_WIDEST = 100
_NOTES = (
    "A BOOL is true, t, 1, false, f or 0: --FLAG, --FLAG=false, --no-FLAG.",
    "A DURATION is 10s, 1m30s, 60d or 0; a LIST is comma-separated, or its flag is repeated.",
    "A KEY is safer in a file: set its variable with the suffix _FILE.",
    "Flags override variables, variables override the file; empty variables count as unset.",
    "Names with ai-gateway (CODER_AI_GATEWAY_*) are aliases of those with aibridge.",
    "Several providers of a type: CODER_AIBRIDGE_PROVIDER_<N>_TYPE, _NAME, _KEY, _BASE_URL.",
)


def print_help(command: Command) -> None:
    """Print the help of a command, or of a group of commands."""
    console = Console(highlight=False)
    console.width = min(console.width, _WIDEST)
    console.print(Padding(Text(_usage(command), style="bold"), (1, 1)))
    console.print(Padding(Text("\n\n".join(command.paragraphs)), (0, 1, 1, 1)))
    if command.arguments:
        console.print(_panel("Arguments", map(_argument, command.arguments)))
    own = [flag for flag in command.flags if not (flag.setting and command.takes_all_settings)]
    if command.commands:
        console.print(_panel("Commands", [_commands(command)]))
    console.print(_panel("Options", map(_flag, own)))
    if command.takes_all_settings:
        flags = {flag.setting: flag for flag in command.flags if flag.setting}
        for group, options in render.grouped():
            settings = (_flag(flags[option], of_daemon=True) for option in options)
            console.print(_panel(group, settings))
        console.print(Padding(Text("\n".join(_NOTES)), (1, 1)))


def _usage(command: Command) -> str:
    arguments = (
        (argument.value if argument.required else f"[{argument.value}]")
        + ("..." if argument.repeated else "")
        for argument in command.arguments
    )
    start = " ".join(("Usage: aibridged", *command.path, "[OPTIONS]"))
    if command.commands:
        return f"{start} {'[COMMAND [ARGS]...]' if command.runs else 'COMMAND [ARGS]...'}"
    return " ".join((start, *arguments))


def _panel(title: str, content: Iterable[RenderableType]) -> Panel:
    return Panel(Group(*content), title=title, title_align="left", border_style="dim")


def _commands(group: Command) -> Table:
    table = Table.grid(padding=(0, 2))
    for each in group.commands:
        table.add_row(Text(each.path[-1], style="bold cyan", no_wrap=True), f"{each.summary}.")
    return table


def _argument(argument: Argument) -> RenderableType:
    return Group(Text(argument.value, style="yellow"), _indented(argument.help))


def _flag(flag: Flag, *, of_daemon: bool = False) -> RenderableType:
    value = f"[={flag.value}]" if flag.value_is_optional else f" {flag.value}" if flag.value else ""
    name = Text.assemble((", ".join(reversed(flag.names)), "bold cyan"), (value, "yellow"))
    facts = _facts(flag, of_daemon)
    lines = [_indented(flag.help), *([_indented(facts, "dim")] if facts else [])]
    return Group(name, *lines)


def _facts(flag: Flag, of_daemon: bool) -> str:
    if flag.setting is not None:
        return render.facts(flag.setting, of_daemon=of_daemon)
    if flag.required:
        return "required"
    return f"default {flag.default}" if flag.default else ""


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 4))
