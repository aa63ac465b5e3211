"""The manual's pages of section 1: the overview, and one a command."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from aibridged import __version__, errors
from aibridged.cli.tree import Argument, Command, Flag
from aibridged.config import render
from tools.manual import mdoc
from tools.manual.prose import RELEASED, Example, Part, Prose
from tools.manual.prose.commands import EXIT_STATUS, FILES, PROSE
from tools.manual.prose.overview import OVERVIEW, REFUSALS, SIGNALS

_CONFIG, _HELP = "--config", "--help"
_CONFIG_VARIABLE = "CODER_CONFIG_PATH"
# More variables than these are not worth a list of their own.
_FEW = 6


def page_name(command: Command) -> str:
    """The page that describes a command: a group's describes what is below it."""
    return "-".join(("aibridged", *command.path))


def command_pages(root: Command) -> Iterator[tuple[str, str]]:
    """The file name and the text of every page of section 1."""
    yield "aibridged.1", _overview(root)
    home = next(command for command in root.commands if command.takes_all_settings)
    for command in root.commands:
        yield f"{page_name(command)}.1", _command_page(command, home)


def parts(body: Iterable[Part]) -> Iterator[str]:
    """Paragraphs, and examples with the sentence that introduces them."""
    for part in body:
        if isinstance(part, Example):
            yield from mdoc.paragraph(part.text)
            yield from mdoc.display(part.lines)
        else:
            yield from mdoc.paragraph(part)


def see_also(name: str, pages: Iterable[str]) -> Iterator[str]:
    """The section, in the customary order, without the page itself."""
    references = sorted({tuple(page.rstrip(")").split("(")) for page in pages}, key=_section_first)
    others = [reference for reference in references if "(".join(reference) + ")" != name]
    lines = [f".Xr {title} {number} ," for title, number in others]
    yield from mdoc.section("SEE ALSO", [*lines[:-1], *(line[:-2] for line in lines[-1:])])


def document(title: str, number: int, summary: str, body: Iterable[str]) -> str:
    """A page of this release."""
    return mdoc.document(
        title,
        number,
        date=RELEASED,
        system=f"aibridged {__version__}",
        summary=summary,
        body=body,
    )


def terms(macro: str, meanings: Mapping[str, str]) -> Iterator[str]:
    return mdoc.listing(((macro, mdoc.argument(term)), text) for term, text in meanings.items())


def _section_first(reference: tuple[str, ...]) -> tuple[str, str]:
    return reference[1], reference[0]


def _overview(root: Command) -> str:
    commands = (
        (("Xr", page_name(command), "1"), f"{command.summary}.") for command in root.commands
    )
    body = [
        *mdoc.section("SYNOPSIS", _usage(root)),
        *mdoc.section("DESCRIPTION", parts((root.paragraphs[0], *OVERVIEW.about))),
        *mdoc.section("COMMANDS", mdoc.listing(commands)),
        *mdoc.section("OPTIONS", _flags(root.flags)),
    ]
    body += mdoc.section("REFUSALS", [*parts(REFUSALS), *_refusals()])
    body += mdoc.section("SIGNALS", terms("Dv", SIGNALS))
    body += _tail(root, OVERVIEW, [f"{page_name(command)}(1)" for command in root.commands])
    return document("aibridged", 1, "a standalone AI gateway", body)


def _refusals() -> Iterator[str]:
    return mdoc.listing(
        ((mdoc.argument(str(kind.status)), mdoc.argument(kind.code)), kind.sentence)
        for kind in errors.ERRORS
    )


def _command_page(command: Command, home: Command) -> str:
    prose = PROSE.get(command.name, Prose())
    used = [each for each in command.walk() if each.runs]
    shared = [flag for flag in used[0].flags if len(used) > 1 and _in_all(flag, used)]
    usages = [line for each in used for line in _usage(each, shared)]
    body = [
        *mdoc.section("SYNOPSIS", usages),
        *mdoc.section("DESCRIPTION", parts((*command.paragraphs, *prose.about))),
    ]
    if command.runs:
        body += mdoc.section("OPTIONS", _options(command, shared, home))
    below = (each for each in used if each is not command)
    described = [line for each in below for line in _subcommand(each, shared)]
    body += mdoc.section("COMMANDS", described)
    body += mdoc.section("OPTIONS OF EVERY COMMAND", _flags(shared))
    body += _tail(command, prose, ["aibridged(1)", f"{page_name(home)}(1)"])
    summary = command.summary
    return document(page_name(command), 1, summary[0].lower() + summary[1:], body)


def _subcommand(command: Command, shared: Sequence[Flag]) -> Iterator[str]:
    own = [flag for flag in command.flags if flag not in shared]
    described = [*_arguments(command.arguments), *map(_described, own)]
    body = [*parts(command.paragraphs), *mdoc.listing(described)]
    yield from mdoc.subsection(command.name, body)


def _in_all(flag: Flag, commands: Iterable[Command]) -> bool:
    return all(flag in each.flags for each in commands)


def _usage(command: Command, shared: Sequence[Flag] = ()) -> Iterator[str]:
    yield ".Nm aibridged"
    if command.path:
        yield f".Cm {command.name}"
    for flag in command.flags:
        elsewhere = flag in shared or (flag.setting and command.takes_all_settings)
        if not elsewhere and flag.long != _HELP:
            yield f".{'' if flag.required else 'Op '}{' '.join(_spelled(flag.long, flag))}"
    if any(flag.long != _HELP for flag in shared):
        yield ".Op Ar OPTION ..."
    if command.takes_all_settings:
        yield ".Op Fl \\-SETTING Ns = Ns Ar VALUE ..."
    for argument in command.arguments:
        optional = "" if argument.required else "Op "
        more = " ..." if argument.repeated else ""
        yield f".{optional}Ar {mdoc.argument(argument.value)}{more}"
    if not command.path:
        yield ".Ar COMMAND"
        yield ".Op Ar ARGUMENT ..."


def _options(command: Command, shared: Sequence[Flag], home: Command) -> Iterator[str]:
    all_settings = command.takes_all_settings
    own = [flag for flag in command.flags if not (all_settings and flag.setting)]
    described = (_described(flag) for flag in own if flag not in shared)
    yield from mdoc.listing([*_arguments(command.arguments), *described])
    if not all_settings:
        return
    if command != home:
        yield from mdoc.paragraph(f"And every setting, under the flags of `{page_name(home)}(1)`.")
        return
    by_setting = {flag.setting.name: flag for flag in command.flags if flag.setting}
    for group, options in render.grouped():
        flags = (_described(by_setting[option.name], of_daemon=True) for option in options)
        yield from mdoc.subsection(group, mdoc.listing(flags))


def _flags(flags: Iterable[Flag]) -> Iterator[str]:
    return mdoc.listing(map(_described, flags))


def _described(flag: Flag, *, of_daemon: bool = False) -> tuple[list[str], str]:
    """A flag as the term of a list, and its description."""
    *short, last = reversed(flag.names)
    term = [word for name in short for word in (*_spelled(name), ",")]
    term += _spelled(last, flag)
    if flag.setting is not None:
        default = f", default `{flag.default}`" if flag.default else ""
        restart = "; requires a restart" if flag.setting.restart and of_daemon else ""
        return term, f"{flag.help} (`{flag.setting.env}`{default}{restart})"
    if flag.choices and not all(word in f"{flag.help}{flag.value}" for word in flag.choices):
        shown = ", ".join(f"`{word}`" for word in flag.choices)
        return term, f"{flag.help} One of {shown}.{_default(flag)}"
    return term, f"{flag.help}{_default(flag)}"


def _default(flag: Flag) -> str:
    return f" The default is `{flag.default}`." if flag.default else ""


def _arguments(arguments: Iterable[Argument]) -> Iterator[tuple[list[str], str]]:
    for argument in arguments:
        yield ["Ar", mdoc.argument(argument.value)], argument.help


def _spelled(name: str, flag: Flag | None = None) -> list[str]:
    words = ["Fl", mdoc.argument(name[1:])]
    if flag is None or not flag.value:
        return words
    value = ["Ar", mdoc.argument(flag.value)]
    return [*words, "Ns", "Op", "=", "Ns", *value] if flag.value_is_optional else [*words, *value]


def _tail(command: Command, prose: Prose, pages: Iterable[str]) -> Iterator[str]:
    """The sections that end every page."""
    flags = [flag for each in command.walk() for flag in each.flags]
    settings = {flag.setting.name: flag for flag in flags if flag.setting}
    files = {path: text for name in settings for path, text in FILES.get(name, {}).items()}
    references = list(pages)
    if settings:
        references.append("aibridged.yaml(5)")
    environment = _environment(flags) | dict(prose.environment)
    yield from mdoc.section("ENVIRONMENT", terms("Ev", environment))
    files = {path: text for path, text in (files | dict(prose.files)).items() if text}
    yield from mdoc.section("FILES", terms("Pa", files))
    statuses = {str(code): text for code, text in {**EXIT_STATUS, **prose.exit_status}.items()}
    yield from mdoc.section("EXIT STATUS", terms("Li", statuses))
    yield from mdoc.section("EXAMPLES", parts(prose.examples))
    yield from see_also(f"{page_name(command)}(1)", [*references, *prose.see_also])


def _environment(flags: Sequence[Flag]) -> dict[str, str]:
    variables = dict(_variables(flags))
    if len(variables) <= _FEW:
        return variables
    return {
        _CONFIG_VARIABLE: variables[_CONFIG_VARIABLE],
        "CODER_*": "Every setting has a variable, beside its flag: see `aibridged.yaml(5)`.",
    }


def _variables(flags: Sequence[Flag]) -> Iterator[tuple[str, str]]:
    """The variables that replace flags."""
    if any(_CONFIG in flag.names for flag in flags):
        yield _CONFIG_VARIABLE, f"The file of settings, where `{_CONFIG}` doesn't name one."
    for setting in {flag.setting.name: flag.setting for flag in flags if flag.setting}.values():
        text = f"In place of `{setting.flag}`."
        if setting.secret:
            text += f" `{setting.env}_FILE` names a file that holds it."
        yield setting.env, text
        if setting.fallback_env:
            yield setting.fallback_env, f"Set by systemd; counts where `{setting.env}` is not set."
