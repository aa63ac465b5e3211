"""The completion for fish."""

from collections.abc import Iterator

from aibridged.cli.tree import Command, Flag
from tools.manual.completing import NOTE, Files, Running, Values, Words, brief, values

_FUNCTIONS = """
function __aibridged_words --description 'The words before the cursor that belong to no flag'
    set -l words (commandline -opc)
    set -l value
    for word in $words[2..]
        if string match --quiet -- '-*' $word
            set value (string match --invert -- '*=*' $word)
        else if test -n "$value"
            set value
        else
            echo $word
        end
    end
end

function __aibridged_in --description 'Whether they begin with this command'
    set -l words (__aibridged_words)
    test (count $argv) -eq 0; or test "$words[1..$(count $argv)]" = "$argv"
end

function __aibridged_at --description 'Whether so many words follow on this command'
    __aibridged_in $argv[2..]
    and test (count (__aibridged_words)) -eq (math (count $argv) - 1 + $argv[1])
end

function __aibridged_names --description 'Names that the running state knows'
    set -l words (commandline -opc)
    $words[1] complete $argv[1] -- $words[2..] 2>/dev/null
end

complete -c aibridged -f
"""


def fish(root: Command) -> str:
    """The script: a line for each command, flag and argument."""
    lines = [line for command in root.walk() for line in _lines(command)]
    return "\n".join(["# fish completion for aibridged(1)", f"# {NOTE}", _FUNCTIONS, *lines, ""])


def _lines(command: Command) -> Iterator[str]:
    follows = _when("__aibridged_at 0", command)
    within = follows if command.commands else _when("__aibridged_in", command)
    for each in command.commands:
        yield f"{follows} -a {each.path[-1]} -d {_quoted(brief(each.paragraphs[0]))}"
    for number, argument in enumerate(command.arguments):
        if offered := _offered(values(argument)):
            yield f"{_when(f'__aibridged_at {number}', command)} {offered}"
    for flag in command.flags:
        names = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names
        )
        yield f"{within} {names}{_value(flag)} -d {_quoted(brief(flag.help))}"


def _when(condition: str, command: Command) -> str:
    return f"complete -c aibridged -n {_quoted(' '.join((condition, *command.path)))}"


def _value(flag: Flag) -> str:
    if not flag.value:
        return ""
    offered = values(flag)
    how = "" if flag.value_is_optional else " -rF" if offered == Files() else " -x"
    return f"{how} {_offered(offered)}".rstrip()


def _offered(offered: Values) -> str:
    match offered:
        case Words(words):
            return f"-a {_quoted(' '.join(words))}"
        case Running(kind):
            return f"-a '(__aibridged_names {kind})'"
        case Files(directories) if directories:
            return "-a '(__fish_complete_directories)'"
    return ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
