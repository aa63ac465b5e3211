"""Writes mdoc(7), the language of manual pages, from plain sentences.

In a sentence, what stands between backticks is marked up by what it looks like: `--flag VALUE`,
`A_VARIABLE`, `a-page(1)`, `/a/path`, `SIGNAL`, `VALUE`, `aibridged command`; all else is literal.
Flags, variables and headers are known without backticks.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z`(])")
_SPAN = re.compile(r"`([^`]+)`")
_BARE = re.compile(
    r"(?<![\w`-])(--[a-z][a-z-]*[a-z]|[A-Z]+_[A-Z_]*[A-Z]|X-[A-Za-z]+(-[A-Za-z]+)*)\b"
)
_SOURCE_WIDTH = 80
_OPENING, _CLOSING = "([", ".,:;)]?!"

# The first match counts.
_MACROS = (
    ("Fl", re.compile(r"-{1,2}[\w<>*-]+.*")),
    ("Xr", re.compile(r"([\w.-]+)\(([1-8])\)")),
    ("Dv", re.compile(r"SIG[A-Z0-9]+")),
    ("Ev", re.compile(r"[A-Z][A-Z0-9]*_[A-Z0-9_<>*]*|HOME")),
    ("Pa", re.compile(r"(/(etc|var|run|dev|usr|proc)|~|\./).*")),
    ("Ic", re.compile(r"aibridged( [a-z][a-z-]*)*")),
    ("Ar", re.compile(r"[A-Z][A-Z0-9:|-]*")),
    ("Cm", re.compile(r"[^ ]+")),
    ("Ql", re.compile(r".*")),
)


def document(
    name: str, section: int, *, date: str, system: str, summary: str, body: Iterable[str]
) -> str:
    """A complete page. `body` follows the section NAME."""
    lines = [
        '.\\" Made by `python -m tools.manual`; to change it, change what it is made from.',
        f".Dd {date}",
        f".Dt {name.upper()} {section}",
        f".Os {system}",
        ".Sh NAME",
        f".Nm {name}",
        f".Nd {_escaped(summary)}",
        *body,
    ]
    return "\n".join(lines) + "\n"


def section(title: str, body: Iterable[str]) -> Iterator[str]:
    """A section, or nothing if it would be empty."""
    lines = list(body)
    if lines:
        yield f".Sh {title}"
        # A paragraph break is for between paragraphs only.
        yield from lines[1:] if lines[0] == ".Pp" else lines


def subsection(title: str, body: Iterable[str]) -> Iterator[str]:
    lines = list(body)
    yield f".Ss {title}"
    yield from lines[1:] if lines[0] == ".Pp" else lines


def paragraph(text: str) -> Iterator[str]:
    """A paragraph with its break before it."""
    yield ".Pp"
    yield from sentences(text)


def listing(
    items: Iterable[tuple[Sequence[str], str]], *, widest: str | None = None
) -> Iterator[str]:
    """Terms, as macros and their arguments, with their texts below them, indented.

    With `widest`, the longest of the terms, the texts stand beside them.
    """
    entries = list(items)
    if not entries:
        return
    yield f".Bl -tag -width {argument(widest) if widest else 'Ds'}"
    for term, text in entries:
        yield " ".join((".It", *term))
        yield from sentences(text)
    yield ".El"


def item(term: Sequence[str], body: Iterable[str]) -> Iterator[str]:
    """One term with more than sentences below it: a list of its own, or a display."""
    yield from (".Bl -tag -width Ds", " ".join((".It", *term)), *body, ".El")


def display(text: str, *, indent: bool = True) -> Iterator[str]:
    """Lines shown literally: what a user types, or a file."""
    yield f".Bd -literal{' -offset indent' if indent else ''}"
    for line in text.strip("\n").splitlines():
        yield _guarded(_typewritten(line))
    yield ".Ed"


def sentences(text: str) -> Iterator[str]:
    """The lines of a paragraph: every sentence starts a new one."""
    for paragraph_number, part in enumerate(text.split("\n\n")):
        if paragraph_number:
            yield ".Pp"
        for sentence in _SENTENCE_END.split(part):
            yield from _lines(sentence)


def marked_up(span: str) -> list[str]:
    """The macro for what a sentence has between backticks, and its arguments."""
    macro, match = next(
        (macro, match) for macro, pattern in _MACROS if (match := pattern.fullmatch(span))
    )
    if macro == "Fl":
        return _flag(span)
    if macro == "Xr":
        return [macro, match[1], match[2]]
    return [macro, argument(span)]


def argument(text: str) -> str:
    """One argument of a macro, whatever it holds."""
    escaped = _typewritten(text).replace('"', "\\(dq")
    if re.fullmatch(r"[A-Z][a-z]|[A-Z][a-z]?[a-z0-9]|[.,:;()\[\]?!|]", text):
        escaped = "\\&" + escaped
    return f'"{escaped}"' if " " in escaped or not escaped else escaped


def _flag(span: str) -> list[str]:
    """`--flag value`: the macro adds a dash; a value in capitals is a placeholder."""
    name, *values = span.split(" ")
    words = ["Fl", argument(name[1:])]
    for value in values:
        words += ["Ar" if re.fullmatch(r"[A-Z:|<>-]+", value) else "Cm", argument(value)]
    return words


def _lines(sentence: str) -> Iterator[str]:
    text, *rest = _SPAN.split(_marked(sentence))
    for span, after in zip(rest[::2], rest[1::2], strict=True):
        before, glued = _split_at_last_space(text)
        yield from _filled(before)
        suffix, _, text = after.partition(" ")
        yield f".{' '.join(_macro(glued, span, suffix))}"
    yield from _filled(text)


def _marked(sentence: str) -> str:
    """The text with backticks around every flag, variable and header."""
    parts = re.split(r"(`[^`]+`)", sentence)
    parts[::2] = [_BARE.sub(r"`\1`", part) for part in parts[::2]]
    return "".join(parts)


def _filled(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _SOURCE_WIDTH, break_long_words=False, break_on_hyphens=False):
        yield _guarded(_escaped(line))


def _split_at_last_space(text: str) -> tuple[str, str]:
    before, space, glued = text.rpartition(" ")
    return (before, glued) if space else ("", text)


def _macro(glued: str, span: str, suffix: str) -> Iterator[str]:
    """A macro line; punctuation that touches the span still does."""
    macro, *words = marked_up(span)
    if glued.strip(_OPENING):
        yield from ("No", argument(glued), "Ns", macro)
    else:
        yield from (macro, *glued)
    yield from words
    if suffix.strip(_CLOSING):
        yield from ("Ns", "No", argument(suffix.rstrip(_CLOSING)))
    yield from suffix[len(suffix.rstrip(_CLOSING)) :]


def _escaped(text: str) -> str:
    """Running text. Non-ASCII characters are escaped, so that no reader has to guess a charset."""
    escaped = text.replace("\\", "\\e")
    return re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", escaped)


def _typewritten(text: str) -> str:
    """Literal text, whose characters can be copied into a shell."""
    escaped = _escaped(text)
    for character, name in (("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("~", "\\(ti")):
        escaped = escaped.replace(character, name)
    return escaped.replace("^", "\\(ha")


def _guarded(line: str) -> str:
    """A line of text that can't be taken for a macro."""
    return f"\\&{line}" if line.startswith((".", "'")) else line
