"""Help for the commands that take every setting.

Typer's own layout is a table with a column for the flag; names as long as
`--aibridge-circuit-breaker-failure-threshold` leave no room in it. Here a setting has lines.
"""

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from aibridged.config import kinds, render
from aibridged.config.declare import Option

_WIDEST = 100
_NOTES = (
    "A BOOL is true, t, 1, false, f or 0: --FLAG, --FLAG=false, --no-FLAG.",
    "A DURATION is written 10s, 1m30s, 60d or 0; a LIST has commas, or its flag is repeated.",
    "A KEY is better kept in a file, which the variable with _FILE names.",
    "A flag outranks a variable, a variable the file; an empty variable is unset.",
    "Names with ai-gateway (CODER_AI_GATEWAY_*) mean the same as those with aibridge.",
    "Several providers of a type: CODER_AIBRIDGE_PROVIDER_<N>_TYPE, _NAME, _KEY, _BASE_URL.",
)


def print_help(command: str, description: str, own: Sequence[tuple[str, str, str]]) -> None:
    """Print help; `own` are the command's other options: flags, metavar, sentence."""
    console = Console(highlight=False)
    console.width = min(console.width, _WIDEST)
    console.print(Padding(Text(f"Usage: {command} [OPTIONS]", style="bold"), (1, 1)))
    console.print(Padding(Text(description), (0, 1, 1, 1)))
    console.print(_panel("Options", (_own(*option) for option in own)))
    for group, options in render.grouped():
        console.print(_panel(group, map(_setting, options)))
    console.print(Padding(Text("\n".join(_NOTES)), (1, 1)))


def _panel(title: str, content: Iterable[RenderableType]) -> Panel:
    return Panel(Group(*content), title=title, title_align="left", border_style="dim")


def _own(flags: str, metavar: str, sentence: str) -> RenderableType:
    return Group(_name(flags, f" {metavar}" if metavar else ""), _indented(sentence))


def _setting(option: Option) -> RenderableType:
    metavar = option.kind.metavar
    shown = f"[={metavar}]" if option.kind is kinds.BOOL else f" {metavar}"
    return Group(
        _name(option.flag, shown), _indented(option.help), _indented(render.facts(option), "dim")
    )


def _name(flags: str, metavar: str) -> Text:
    return Text.assemble((flags, "bold cyan"), (metavar, "yellow"))


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 4))
