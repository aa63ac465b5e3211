"""Envelopes: what agents put around a person's words, or send in a person's place.

An agent has one role for all that isn't the model's: the person's prompt, the date, the state of
the editor, a hook's output. The tables say which is which, one row each, with the program and
version in which it was seen. What is in no row is kept as it is.

Only the first and the last `WINDOW` characters of a text are looked at, by searches for fixed
strings, so that a text of any length takes a few microseconds.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

WINDOW = 64 * 1024
"""Characters at the beginning and at the end of a text where envelopes are looked for."""
MAX_TEXTS = 64
"""Texts that may have an envelope and are looked at in one go, each for up to 150 microseconds."""
_MAX_TAG = 40  # characters
_MAX_BLOCKS = 64  # that are taken off one text


class Block(NamedTuple):
    """An element of the agent's own, `<tag>…</tag>`, before or behind the person's words."""

    tag: str
    seen: str


class Notice(NamedTuple):
    """A text that the agent wrote itself: it begins so, and holds nothing of the person's."""

    beginning: str
    seen: str


class Wrapping(NamedTuple):
    """The person's words stand between the two; a beginning may be empty, an end never is."""

    beginning: str
    end: str
    seen: str


class Errand(NamedTuple):
    """A whole request that the agent makes for itself: it begins so, and has this near its end."""

    purpose: str
    beginning: str
    end: str
    seen: str


BLOCKS = (
    Block("system-reminder", "Claude Code 2.1, Qwen Code 0.24"),
    Block("task-notification", "Claude Code 2.1.197: a background agent has ended"),
    Block("local-command-caveat", "Claude Code 2.1"),
    Block("local-command-stdout", "Claude Code 2.1: the output of a slash command"),
    Block("local-command-stderr", "Claude Code 2.1"),
    Block("bash-stdout", "Claude Code 2.1: the output of a `!` command"),
    Block("bash-stderr", "Claude Code 2.1"),
    Block("environment_details", "Kilo Code 7.7, Roo Code"),
    Block("environment_context", "Codex 0.171"),
    Block("user_instructions", "Codex 0.40: the text of AGENTS.md"),
    Block("turn_aborted", "Codex 0.171"),
    Block("subagent_notification", "Codex 0.171"),
    Block("current_datetime", "GitHub Copilot CLI 1.0"),
    Block("mode_notice", "Cline 3.0"),
    Block("system", "gptme 0.35: no tool was called"),
)

NOTICES = (
    Notice("[SYSTEM NOTIFICATION - NOT USER INPUT]", "Claude Code 2.1"),
    Notice("[MESSAGE FROM NON-USER SOURCE - NOT USER INPUT]", "Claude Code 2.1"),
    Notice("Stop hook feedback:\n", "Claude Code 2.1.197"),
    Notice("The text below is the output of a hook", "Claude Code 2.1.332"),
    Notice("[structured-output-enforce]", "Claude Code 2.1"),
    Notice("[Request interrupted by user", "Claude Code 2.1"),
    Notice("This session is being continued from a previous conversation", "Claude Code 2.1"),
    Notice("# AGENTS.md instructions for ", "Codex 0.171"),
    Notice("Another language model started to solve this problem", "Codex 0.171: a summary"),
    Notice("[SYSTEM] This run is not complete until", "Cline 3.0"),
)

MEANWHILE = "The user sent a new message while you were working:\n"
"""Before what a person typed while Claude Code worked, wherever it puts that."""

WRAPPINGS = (
    Wrapping(
        MEANWHILE, "\n\nIMPORTANT: After completing your current task, ", "Claude Code 2.1.197"
    ),
    Wrapping(MEANWHILE, "\n\nThis is how Claude Code surfaces messages ", "Claude Code 2.1.332"),
    Wrapping(
        "Please solve this issue: ",
        "\n\nYou can execute bash commands and edit files to implement the necessary changes.",
        "mini-swe-agent 2.4",
    ),
    Wrapping(
        "",
        "\n\n# *SEARCH/REPLACE block* Rules:\n\nEvery *SEARCH/REPLACE block* must use this format:",
        "aider 0.86, in the Messages API",
    ),
)

ERRANDS = (
    Errand("title", "<session>\n", "\n</session>\n\nWrite the title in ", "Claude Code 2.1.197"),
    Errand(
        "title", "Generate a title for this conversation:\n", "", "OpenCode 1.18, Kilo Code 7.7"
    ),
    Errand(
        "compaction",
        "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.",
        "",
        "Claude Code 2.1",
    ),
    Errand("title", "Generate a concise, single-line task title of at most ", "", "Codex 0.171"),
    Errand("title", "Your task: Create a 2-4 word title for this conversation.", "", "gptme 0.35"),
    Errand("compaction", "You are performing a CONTEXT CHECKPOINT COMPACTION.", "", "Codex 0.171"),
    Errand(
        "compaction",
        "Here is the conversation so far:\n\n<conversation>\n",
        "\n</conversation>\n\n",
        "OpenCode 1.18",
    ),
    Errand("memory", "Managed memory directory: `", "", "Qwen Code 0.15"),
    Errand("memory", "Managed memory has TWO directories.", "", "Qwen Code 0.24"),
)


class Envelope(NamedTuple):
    """What in a text is the agent's.

    The person's words stand between the first `start` and the last `stop` characters; a notice has
    none. `instead` is what the person typed, where the text tells it in another form. `purpose` is
    what the whole request is for, where the agent makes it for itself. `calls` are the ids of the
    tool calls that its notices are about.
    """

    start: int = 0
    stop: int = 0
    is_notice: bool = False
    instead: str | None = None
    purpose: str | None = None
    calls: tuple[str, ...] = ()


class Said(msgspec.Struct, frozen=True):
    """What a person said in a request: no `prompt` where the agent speaks for itself.

    `purpose` and `calls` are as in `Envelope`.
    """

    prompt: str | None = None
    purpose: str | None = None
    calls: tuple[str, ...] = ()


SILENT = Said()
"""No person said anything."""


class ManyTextsError(msgspec.DecodeError):
    """More than `MAX_TEXTS` may have an envelope: `large_text` reads them in steps."""


def said_in(texts: Sequence[str]) -> Said:
    """What a person said in the texts behind the model's last words, line after line.

    Raises:
        ManyTextsError: see there.
    """
    if len(texts) == 1 and len(text := texts[0]) <= WINDOW and is_bare(text, text):
        return Said(text)
    words: list[str] = []
    calls: list[str] = []
    looked_at = 0
    for text in texts:
        head, end = (text, None) if len(text) <= WINDOW else ends(text)
        if is_bare(head, head if end is None else end):
            words.append(text)
            continue
        looked_at += 1
        if looked_at > MAX_TEXTS:
            raise ManyTextsError
        envelope = envelope_of(head, end)
        if envelope.purpose is not None:
            return Said(purpose=envelope.purpose)
        calls += envelope.calls
        if envelope.instead is not None:
            words.append(envelope.instead)
        elif not envelope.is_notice:
            words.append(text[envelope.start : len(text) - envelope.stop])
    if len(words) > 1:
        return Said(LINE.join(filter(None, words)), calls=tuple(calls))
    return Said(words[0] if words else None, calls=tuple(calls))


LINE = "\n"
"""What stands between two texts of one prompt."""


def ends(text: str) -> tuple[str, str]:
    """What is looked at of a text that is longer than a window."""
    return text[:WINDOW], text[-WINDOW:]


BARE = Envelope()
"""The envelope of a text that has none, as far as is known."""

_TASK = "<task-notification>"
_BLOCK_TAGS = frozenset(row.tag for row in BLOCKS)
_NOTICES = tuple(row.beginning for row in NOTICES)
_TYPED = ("<command-", "<bash-input>")
_BEGINNINGS = (
    *("<", " ", "\n", "\r", "\t"),
    *(row.beginning for row in (*NOTICES, *WRAPPINGS, *ERRANDS) if row.beginning),
)
_APPENDED = tuple(row.end for row in WRAPPINGS if not row.beginning)

_BLANKS = frozenset("\n\r\t ")
_GLANCE = 64

_blanks = re.compile(r"[ \t\r\n]*+").match


def envelope_of(head: str, tail: str | None = None) -> Envelope:
    """What in a text is the agent's.

    `head` is the whole text, or where that is longer than a window its beginning; then `tail` is
    its end.
    """
    end = head if tail is None else tail
    if is_bare(head, end):
        return BARE
    before = _blocks_before(head, end)
    start, calls = before.end, tuple(before.calls)
    if before.is_all or head.startswith(_NOTICES, start):
        return Envelope(is_notice=True, calls=calls)
    for errand in ERRANDS:
        if head.startswith(errand.beginning, start) and errand.end in end:
            return Envelope(purpose=errand.purpose)
    if tail is None and head.startswith(_TYPED, start):
        return Envelope(instead=_typed(head[start:]), calls=calls)
    is_found, stop = before.is_found, 0
    for wrapping in WRAPPINGS:
        if head.startswith(wrapping.beginning, start) and (at := end.rfind(wrapping.end)) >= 0:
            is_found, start, stop = True, start + len(wrapping.beginning), len(end) - at
            break
    behind = _blocks_behind(end, len(end) - stop, start if tail is None else 0)
    if not is_found and behind == len(end):
        return BARE
    start = _behind_blanks(head, start)
    behind = len(end[:behind].rstrip())
    if tail is None and start >= behind:
        return Envelope(is_notice=True, calls=calls)
    return Envelope(start, len(end) - behind, calls=calls)


def is_bare(head: str, end: str) -> bool:
    """Whether a text surely has no envelope, which most texts show at a glance."""
    last = end[-1:]
    if last in _BLANKS:
        last = end[-_GLANCE:].rstrip()[-1:] or ">"
    if last == ">" or head.startswith(_BEGINNINGS):
        return False
    for appended in _APPENDED:  # noqa: SIM110 - few, and a generator takes longer than the search
        if appended in end:
            return False
    return True


class _Before(NamedTuple):
    """The blocks at the beginning of a text, up to `end` and the blanks behind them."""

    end: int
    calls: Sequence[str]
    is_found: bool
    is_all: bool = False


def _blocks_before(head: str, end: str) -> _Before:
    calls: list[str] = []
    start = _behind_blanks(head, 0)
    for number in range(_MAX_BLOCKS):
        tag = _tag_at(head, start)
        if tag is None:
            return _Before(start, calls, number > 0)
        closing = f"</{tag}>"
        close = head.find(closing, start)
        if close < 0:
            # It may end behind the window, with the text.
            is_all = end is not head and end.rstrip().endswith(closing)
            return _Before(start, calls, number > 0, is_all)
        if _TASK in (block := head[start:close]):
            calls += filter(None, [_inner(block, _CALL)])
        start = _behind_blanks(head, close + len(closing))
    return _Before(start, calls, is_found=True)


def _blocks_behind(text: str, stop: int, start: int) -> int:
    """Where the blocks at the end of a text begin, or `stop`; none before `start` counts."""
    for _ in range(_MAX_BLOCKS):
        end = len(text[:stop].rstrip())
        closing = text.rfind("</", max(start, end - _MAX_TAG), end)
        tag = text[closing + 2 : end - 1]
        if closing < 0 or text[end - 1 : end] != ">" or tag not in _BLOCK_TAGS:
            break
        opening = text.rfind(f"<{tag}>", start, closing)
        if opening < 0:
            break
        stop = opening
    return stop


def _behind_blanks(text: str, at: int) -> int:
    found = _blanks(text, at)
    assert found is not None, "it may be empty"
    return found.end()


def _tag_at(text: str, at: int) -> str | None:
    """The tag of a block that opens there."""
    if text[at : at + 1] != "<":
        return None
    close = text.find(">", at, at + _MAX_TAG)
    tag = text[at + 1 : close]
    return tag if close >= 0 and tag in _BLOCK_TAGS else None


_CALL = "tool-use-id"


def _inner(text: str, tag: str) -> str | None:
    """What stands in the first element of this tag; None where there is none."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    start = text.find(opening)
    close = text.find(closing, start)
    return text[start + len(opening) : close].strip() if 0 <= start <= close else None


def _typed(text: str) -> str:
    """A command as it was typed, with what stands behind it."""
    if text.startswith("<bash-input>"):
        typed, last = f"!{_inner(text, 'bash-input') or ''}", "bash-input"
    else:
        name, arguments = _inner(text, "command-name"), _inner(text, "command-args")
        typed = " ".join(filter(None, (name, arguments)))
        closings = {tag: text.find(f"</{tag}>") for tag in _COMMAND}
        last = max(closings, key=lambda tag: closings[tag])
    if not typed:
        return text
    _, _, rest = text.partition(f"</{last}>")
    return LINE.join(filter(None, (typed, rest.strip())))


_COMMAND = ("command-name", "command-message", "command-args")
