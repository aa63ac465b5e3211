"""The completion for zsh."""

import re
from collections.abc import Iterator

from aibridged.cli.tree import Argument, Command, Flag
from tools.manual.completing import NOTE, Files, Running, Values, Words, brief, quoted, values

_NAMES = r"""
_aibridged_names() {
  local line
  local -a found
  for line in ${(f)"$($program complete $1 -- ${(Q)words} 2>/dev/null)"}; do
    found+=(${${line%%$'\t'*}//:/\\:}:${line#*$'\t'})
  done
  _describe -t $1 $1 found
}
"""
_END = """
if [[ $funcstack[1] == _aibridged ]]; then
  _aibridged "$@"
else
  compdef _aibridged aibridged
fi
"""


def zsh(root: Command) -> str:
    """The script: a function a command."""
    functions = ["\n".join(_function(command)) for command in root.walk()]
    return "\n".join(
        ["#compdef aibridged", f"# {NOTE}", _NAMES, "\n\n".join(functions), _END.rstrip(), ""]
    )


def _function(command: Command) -> Iterator[str]:
    yield f"{_function_name(command)}() {{"
    if not command.path:
        yield "  local program=$words[1]"
    specs = [quoted(_flag(flag, name)) for flag in command.flags for name in flag.names]
    if command.commands:
        yield from _subcommands(command, specs)
    else:
        specs += [quoted(_argument(argument)) for argument in command.arguments]
        yield from _call("_arguments -s", specs)
    yield "}"


def _subcommands(command: Command, specs: list[str]) -> Iterator[str]:
    yield "  local curcontext=$curcontext state line"
    yield "  local -a commands=("
    for each in command.commands:
        yield f"    {quoted(f'{each.path[-1]}:{brief(each.paragraphs[0])}')}"
    yield "  )"
    specs = [*specs, quoted("1: :->command"), quoted("*:: :->arguments")]
    *most, last = _call("_arguments -C", specs)
    yield from (*most, f"{last} && return")
    yield "  case $state in"
    yield "    command) _describe -t commands command commands ;;"
    yield "    arguments)"
    yield "      case $words[1] in"
    for each in command.commands:
        yield f"        {each.path[-1]}) {_function_name(each)} ;;"
    yield from ("      esac", "      ;;", "  esac")


def _call(function: str, arguments: list[str]) -> Iterator[str]:
    lines = [f"  {function}", *(f"    {argument}" for argument in arguments)]
    yield from (f"{line} \\" for line in lines[:-1])
    yield lines[-1]


def _function_name(command: Command) -> str:
    return "_".join(("_aibridged", *command.path)).replace("-", "_")


def _flag(flag: Flag, name: str) -> str:
    """A spec of `_arguments`: the names that it excludes, how the value is given, what it is."""
    exclusive = f"({' '.join(flag.names)})" if len(flag.names) > 1 else ""
    excluded = "*" if flag.repeated else exclusive
    help = re.sub(r"([\\\[\]])", r"\\\1", brief(flag.help))
    if not flag.value:
        return f"{excluded}{name}[{help}]"
    if flag.value_is_optional:
        return f"{excluded}{name}=-[{help}]::{_value(flag)}"
    return f"{excluded}{name}{'=' if name.startswith('--') else '+'}[{help}]:{_value(flag)}"


def _argument(argument: Argument) -> str:
    position = "*" if argument.repeated else "" if argument.required else ":"
    return f"{position}:{_value(argument)}"


def _value(of: Flag | Argument) -> str:
    return f"{of.value.replace(':', chr(92) + ':')}:{_action(values(of))}"


def _action(offered: Values) -> str:
    match offered:
        case Words(words):
            return f"({' '.join(words)})"
        case Running(kind):
            # The blank keeps _arguments from putting arguments of its own in front.
            return f" _aibridged_names {kind}"
        case Files(directories):
            return "_files -/" if directories else "_files"
    return " "
