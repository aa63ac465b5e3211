"""The completion for bash. It doesn't need the package bash-completion."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from aibridged.cli.tree import Command, Flag
from tools.manual.completing import NOTE, Files, Running, Values, Words, quoted, values

_BEGIN = r"""
_aibridged() {
    COMPREPLY=()
    # Bash has split words at = and : too; here they are whole.
    local words=() word i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 1)) && { [[ $word == +([=:]) && "${words[-1]}$word" != -*: ]] ||
            [[ ${COMP_WORDS[i - 1]} == +([=:]) && ${words[-1]} == *[=:] ]]; }; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    local typed=${words[-1]} option=${words[-2]} inline=
    if [[ $typed == --*=* ]]; then
        option=${typed%%=*} typed=${typed#*=} inline=1
    fi

    # Which command it is, and what can come next: "words a b", "names users", files, directories.
    local command= next= argument= flags= given=0 value=
    for word in "${words[@]:1:${#words[@]}-2}"; do
        case "$command $word" in
            @COMMANDS@)
                command=${command:+$command }$word
                ;;
            *' --'*=*) value= ;;
            *' -'*) value=1 ;;
            *)
                [[ $value ]] || ((++given))
                value=
                ;;
        esac
    done
    case $command in
"""
_END = r"""
    esac
    if [[ ! $next ]]; then
        next=$argument
        [[ $typed == -* ]] && next="words $flags"
    fi

    local found=()
    case $next in
        files)
            compopt -o default
            return
            ;;
        directories)
            compopt -o dirnames
            return
            ;;
        names*)
            mapfile -t found < <("$1" complete "${next#names }" -- "${words[@]:1}" 2>/dev/null)
            found=("${found[@]%%$'\t'*}")
            ;;
        words*)
            read -ra found <<<"${next#words }"
            ;;
    esac

    # Readline replaces what stands behind the last = or : only.
    local quote= before= after=
    if [[ $typed == [\"\']* ]]; then
        quote=1 typed=${typed:1}
    else
        typed=${typed//\\/}
        [[ $COMP_WORDBREAKS == *:* && $typed == *:* ]] && before=${typed%"${typed##*:}"}
        [[ $COMP_WORDBREAKS != *=* && $inline ]] && after=$option=
    fi
    for word in "${found[@]}"; do
        if [[ $word == "$typed"* ]]; then
            word=${word#"$before"}
            [[ $quote ]] || printf -v word %q "$word"
            COMPREPLY+=("$after$word")
        fi
    done
}

complete -F _aibridged aibridged
"""


def bash(root: Command) -> str:
    """The script."""
    below = [command for command in root.walk() if command.path]
    keys = (quoted(f"{' '.join(each.path[:-1])} {each.path[-1]}") for each in below)
    cases = [line for command in root.walk() for line in _case(command)]
    begin = _BEGIN.replace("@COMMANDS@", " | ".join(keys))
    return f"# bash completion for aibridged(1)\n# {NOTE}\n{begin}" + "\n".join(cases) + _END


def _case(command: Command) -> Iterator[str]:
    """The completions of one command."""
    names = " ".join(name for flag in command.flags for name in flag.names)
    yield f"        {quoted(command.name)})"
    yield f"            flags={quoted(names)}"
    if command.commands:
        words = " ".join(each.path[-1] for each in command.commands)
        yield f"            ((given)) || argument={quoted(f'words {words}')}"
    for number, argument in enumerate(command.arguments):
        said = quoted(_said(values(argument)))
        yield f"            ((given == {number})) && argument={said}"
    arms = _arms(flag for flag in command.flags if flag.value)
    if arms:
        yield "            case $option in"
        for (said, inline), options in arms.items():
            condition = "[[ $inline ]] && " if inline else ""
            yield f"                {' | '.join(options)}) {condition}next={quoted(said)} ;;"
        yield "            esac"
    yield "            ;;"


def _arms(flags: Iterable[Flag]) -> dict[tuple[str, bool], list[str]]:
    """The names of flags by their completions, and whether only after a =."""
    arms: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for flag in flags:
        arms[_said(values(flag)), flag.value_is_optional] += flag.names
    return arms


def _said(offered: Values) -> str:
    match offered:
        case Words(words):
            return f"words {' '.join(words)}"
        case Running(kind):
            return f"names {kind}"
        case Files(directories):
            return "directories" if directories else "files"
    return "nothing"
