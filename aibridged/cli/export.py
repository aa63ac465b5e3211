"""`aibridged export`: the record as a file, without a limit."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from aibridged.cli.cells import counted
from aibridged.cli.export_flags import (
    ChargePeriod,
    ChargePeriodFlag,
    ForceFlag,
    Form,
    FormatFlag,
    OutputFileFlag,
    RawFlag,
    TextsFlag,
    UsageForm,
    UsageFormatFlag,
)
from aibridged.cli.export_formats import CsvWriter, JsonlWriter, ParquetWriter, Sink, Writer
from aibridged.cli.query_options import MinCostFlag, costing, takes_filter
from aibridged.cli.say import say
from aibridged.cli.usage import (
    ByFlag,
    GroupFlag,
    KeyFlag,
    of_group_and_key,
    parsed_dimensions,
)

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.records.cancel_scope import CancelScope
    from aibridged.records.export import Field, Values
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter

TIME_LIMIT_S = 600.0
"""For a page of rows, and for all totals together."""

_BY = "user"
_SPOOL_BYTES = 8 * 1024 * 1024  # in memory, before there is a temporary file
_COPIED_BYTES = 64 * 1024
_PROGRESS_S = 0.2
_BROKEN_PIPE = 128 + 13  # as a process that SIGPIPE ends


class _Target(NamedTuple):
    """How and where to write. `file` None is the output."""

    form: Form
    file: Path | None
    force: bool
    raw: bool


def export() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="export", no_args_is_help=True, help="Export the record to a file, without a limit."
    )
    for name, command in (("interceptions", _interceptions), ("sessions", _sessions)):
        group.command(name)(takes_filter(command, without=("limit",)))
    group.command("usage")(takes_filter(_usage, without=("limit",), also=("prices",)))
    return group


def _interceptions(
    query: "Query",
    wanted: "Filter",
    min_cost: MinCostFlag = None,
    form: FormatFlag = Form.CSV,
    output: OutputFileFlag = None,
    force: ForceFlag = False,
    with_texts: TextsFlag = False,
    raw: RawFlag = False,
) -> None:
    """Export interceptions with their tokens, oldest first.

    All that match and started before the export are in it. Times are in UTC.
    """
    from aibridged.records import export as records

    target, all_fields = _target(form, output, force, raw), records.INTERCEPTION_FIELDS
    fields = all_fields if with_texts else records.without_texts(all_fields)
    wanted = costing(_until_now(wanted), min_cost)
    find = partial(records.export_interceptions, wanted=wanted, with_texts=with_texts)
    _export(query, find, fields, target, "interception")


def _sessions(
    query: "Query",
    wanted: "Filter",
    form: FormatFlag = Form.CSV,
    output: OutputFileFlag = None,
    force: ForceFlag = False,
    with_texts: Annotated[
        bool,
        typer.Option("--with-texts", help="Beginnings of the first and the last prompt, too."),
    ] = False,
    raw: RawFlag = False,
) -> None:
    """Export sessions, most recently used first, with the totals of what matches.

    What started before the export counts. Times are in UTC.
    """
    from aibridged.records import export as records

    target, all_fields = _target(form, output, force, raw), records.SESSION_FIELDS
    fields = all_fields if with_texts else records.without_texts(all_fields)
    find = partial(records.export_sessions, wanted=_until_now(wanted), with_texts=with_texts)
    _export(query, find, fields, target, "session")


def _usage(
    query: "Query",
    wanted: "Filter",
    settings: "Settings",
    by: ByFlag = _BY,
    group: GroupFlag = None,
    key: KeyFlag = None,
    form: UsageFormatFlag = UsageForm.CSV,
    output: OutputFileFlag = None,
    force: ForceFlag = False,
    raw: RawFlag = False,
    charge_period: ChargePeriodFlag = None,
) -> None:
    """Export token usage and costs by one dimension or several, as `aibridged usage` has them.

    With `--format focus` it is the cost of tokens by charge period, person, client, model and kind
    of token. What has no cost is left out and told, and the exit status is 1.
    """
    from aibridged.records import export as records

    wanted = of_group_and_key(wanted, group, key)
    if form is UsageForm.FOCUS:
        if by != _BY:
            raise typer.BadParameter("--format focus has columns of its own.", param_hint="--by")
        _focus(query, wanted, settings, _target(Form.CSV, output, force, raw), charge_period)
        return
    if charge_period is not None:
        raise typer.BadParameter("it is for --format focus.", param_hint="--charge-period")
    target, dimensions = _target(Form(form), output, force, raw), parsed_dimensions(by)
    fields = records.usage_fields(dimensions)

    def find(query: "Query") -> "Iterator[Sequence[Values]]":
        return records.export_usage(query, dimensions, _until_now(wanted))

    _export(query, find, fields, target, "row", one_read=True)


def _focus(
    query: "Query",
    wanted: "Filter",
    settings: "Settings",
    target: _Target,
    charge_period: ChargePeriod | None,
) -> None:
    from aibridged.cli.focus import FocusRows
    from aibridged.records.focus import FOCUS_FIELDS

    period = charge_period or ChargePeriod.DAY
    found = FocusRows(settings, _until_now(wanted), period)
    _export(query, found.pages, FOCUS_FIELDS, target, "row", one_read=True)
    if left_out := found.left_out():
        say(left_out, err=True)
        raise typer.Exit(1)


def _until_now(wanted: "Filter") -> "Filter":
    """The filter without what starts from now on."""
    import msgspec

    from aibridged.clock import SystemClock

    now = SystemClock().wall()
    return msgspec.structs.replace(wanted, started_before=min(wanted.started_before or now, now))


def _target(form: Form, file: Path | None, force: bool, raw: bool) -> _Target:
    if force and file is None:
        raise typer.BadParameter("it is for --output FILE.", param_hint="--force")
    if raw and form is not Form.CSV:
        raise typer.BadParameter(f"it is for CSV, not for --format {form}.", param_hint="--raw")
    if form is Form.PARQUET:
        if file is None and sys.stdout.isatty():
            raise typer.BadParameter(
                "Parquet is no text for a terminal: use --output FILE, or a pipe.",
                param_hint="--format",
            )
        from aibridged.config import extras

        if missing := extras.sentences("parquet", "Parquet can't be written"):
            say(missing, err=True)
            raise typer.Exit(1)
    if file is not None:
        from aibridged.records.whole_file import check_target

        check_target(file, force=force)
    return _Target(form, file, force, raw)


def _export(
    query: "Query",
    find: "Callable[[Query], Iterator[Sequence[Values]]]",
    fields: "Sequence[Field]",
    target: _Target,
    noun: str,
    *,
    one_read: bool = False,
) -> None:
    """Write all pages, or end the command.

    Where they are of `one_read`, nobody is waited for meanwhile: they are collected in a temporary
    file before the output gets them.
    """
    from aibridged.clock import SystemClock
    from aibridged.records.cancel_scope import CancelScope

    scope = CancelScope(SystemClock(), TIME_LIMIT_S)
    progress = _Progress(noun, target)
    with _signals_end_it(scope, target), _errors_are_told(target):
        pages = find(query.within(scope))
        with _sink(target, is_collected=one_read) as sink:
            writer = _writer(target, _Watched(sink, progress), fields)
            for page in pages:
                writer.write(page)
                progress.add(len(page))
            writer.close()
        progress.end()
    if target.file is not None:
        say(f"Exported {counted(progress.rows, noun)} to {target.file}.", err=True)


def _writer(target: _Target, sink: Sink, fields: "Sequence[Field]") -> Writer:
    match target.form:
        case Form.CSV:
            for_terminal = target.file is None and sys.stdout.isatty()
            return CsvWriter(sink, fields, raw=target.raw, for_terminal=for_terminal)
        case Form.JSONL:
            return JsonlWriter(sink, fields)
        case Form.PARQUET:
            return ParquetWriter(sink, fields)


@contextmanager
def _sink(target: _Target, *, is_collected: bool) -> Iterator[Sink]:
    if target.file is not None:
        from aibridged.records.whole_file import part_beside, put

        with part_beside(target.file) as part:
            with open(part, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            put(part, target.file, force=target.force)
        return
    output = sys.stdout.buffer
    if is_collected:
        from tempfile import SpooledTemporaryFile

        with SpooledTemporaryFile(_SPOOL_BYTES) as collected:
            yield collected
            collected.seek(0)
            while some := collected.read(_COPIED_BYTES):
                output.write(some)
    else:
        yield output
    output.flush()


@contextmanager
def _errors_are_told(target: _Target) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # Python would flush the rest at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_BROKEN_PIPE) from None
    except OSError as error:
        where = target.file or "The output"
        say(f"{where} can't be written: {error.strerror}.", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _signals_end_it(scope: "CancelScope", target: _Target) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the export, and leave no part of a file."""
    received: list[int] = []

    def end(number: int, _frame: Any) -> NoReturn:
        received.append(number)
        scope.cancel()  # a query swallows the exception
        raise KeyboardInterrupt

    # What a shell has told this process to ignore stays so.
    ours = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is not None]
    ours = [each for each in ours if signal.getsignal(each) != signal.SIG_IGN]
    before = {each: signal.signal(each, end) for each in ours}
    try:
        yield
    except BaseException:
        if not received:
            raise
        left = "" if target.file is None else f": {target.file} is as it was"
        say(f"\nCancelled{left}.", err=True)
        raise typer.Exit(128 + received[0]) from None
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Progress:
    """Rows and bytes so far, on stderr, if it is a terminal that the rows don't go to."""

    def __init__(self, noun: str, target: _Target) -> None:
        from aibridged.clock import SystemClock

        self.rows = 0
        self._noun = noun
        self._bytes = 0
        self._now = SystemClock.monotonic
        self._shown_at = self._began = self._now()
        to_terminal = target.file is None and sys.stdout.isatty()
        self._is_shown = sys.stderr.isatty() and not to_terminal

    def add(self, rows: int) -> None:
        """Note rows that were written."""
        self.rows += rows
        now = self._now()
        if self._is_shown and now - self._shown_at >= _PROGRESS_S:
            self._shown_at = now
            rate = self.rows / (now - self._began)
            text = f"{counted(self.rows, self._noun)}, {self._bytes / 1e6:,.1f} MB, {rate:,.0f}/s"
            typer.echo(f"\r{text}\x1b[K", nl=False, err=True)

    def add_bytes(self, count: int) -> None:
        """Note bytes that were written."""
        self._bytes += count

    def end(self) -> None:
        """Clear the line."""
        if self._is_shown:
            typer.echo("\r\x1b[K", nl=False, err=True)


class _Watched:
    """A sink whose bytes are counted."""

    def __init__(self, sink: Sink, progress: _Progress) -> None:
        self._sink = sink
        self._progress = progress

    def write(self, data: bytes, /) -> None:
        self._sink.write(data)
        self._progress.add_bytes(len(data))
