"""`aibridged reconcile`: the record beside a provider's usage or cost export."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from aibridged.cli.cells import count, counted, printable
from aibridged.cli.columns import Column, Layout, chosen
from aibridged.cli.database import takes_database
from aibridged.cli.identity_store import Output, OutputFlag, as_json
from aibridged.cli.say import say
from aibridged.cli.table import indented, terminal_width

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.core.usage_figures import Entry, Recorded
    from aibridged.providers.usage_files import Read
    from aibridged.records.daily_usage import Place

TIME_LIMIT_S = 120.0
"""For each of the two queries."""

_DIFFERS, _TROUBLE = 1, 2
_REASONS = 3
"""That a table shows of each day and model; JSON has all."""
_ALL = "(all models)"
_NAMES = {
    "requests": "requests",
    "input_tokens": "input",
    "cache_read_input_tokens": "cached",
    "cache_write_input_tokens": "cache write",
    "output_tokens": "output",
    "cost": "cost",
}


class _Line(NamedTuple):
    """A line of the table: one figure of a day and model, as texts."""

    day: str
    model: str
    what: str
    record: str
    provider: str
    difference: str
    share: str


class _Found(NamedTuple):
    """What there is to compare."""

    recorded: "Mapping[tuple[date, str], Recorded]"
    providers: Sequence[str]
    byok: int
    begins: date | None


def _reconcile(
    settings: "Settings",
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The provider's export, in CSV or JSON.")
    ],
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="PROVIDER", help="A provider's name; default all of the type of the file."
        ),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="First day, in UTC; default the file's."),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="DAY", help="Last day, included; default the file's."),
    ] = None,
    tolerance: Annotated[
        str, typer.Option(metavar="SHARE", help="Difference that is no difference: 0.5%, 0.005.")
    ] = "0.5%",
    output: OutputFlag = Output.TABLE,
) -> None:
    """Compare the record with a provider's usage or cost export.

    Files of Anthropic's and OpenAI's usage and cost APIs (JSON) and of their consoles (CSV) are
    known by their content. Figures are compared by day and model. What differs by more than the
    tolerance is shown with the likeliest reasons, and the exit status is 1; it is 2 where nothing
    could be compared.
    """
    from aibridged.core.discrepancies import Circumstances
    from aibridged.core.reconciliation import compare

    share = _share(tolerance)
    read = _read(file, _day(first, "--from"), _day(last, "--to"))
    found = _found(settings, read, provider)
    circumstances = Circumstances(_today(), found.begins, share)
    entries = compare(found.recorded, read.statement, circumstances)
    if output is Output.JSON:
        typer.echo(as_json(_data(file, read, found, tolerance, entries)))
    else:
        _show(read, found, tolerance, entries)
    if any(entry.differing for entry in entries):
        raise typer.Exit(_DIFFERS)


reconcile = takes_database(_reconcile, ("prices",))
reconcile.__name__ = "reconcile"


def _trouble(text: str) -> NoReturn:
    say(text, err=True)
    raise typer.Exit(_TROUBLE)


def _today() -> date:
    from aibridged.clock import SystemClock

    return SystemClock().wall().date()


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except InvalidOperation:
        share = Decimal(-1)
    if not share.is_finite() or not 0 <= share <= 1:
        raise typer.BadParameter(
            f"{printable(text)!r} is no share: use 0.5% or 0.005.", param_hint="--tolerance"
        )
    return share


def _day(text: str | None, flag: str) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{printable(text or '')!r} is no day: use 2026-01-31.", param_hint=flag
        ) from None


def _read(file: Path, first: date | None, last: date | None) -> "Read":
    from aibridged.core.usage_figures import within
    from aibridged.providers.usage_files import Read, UsageFileError, read_usage_file

    try:
        format, statement = read_usage_file(file)
    except UsageFileError as error:
        _trouble(f"{file} {printable(str(error))}.")
    except OSError as error:
        _trouble(f"{file} can't be read: {error.strerror}.")
    if first is not None and last is not None and first > last:
        raise typer.BadParameter(f"{first} is after {last}.", param_hint="--from")
    start, end = first or statement.first, last or statement.last
    if start > statement.last or end < statement.first:
        _trouble(
            f"{file} has nothing of the days that are asked for: it is of {statement.first} to "
            f"{statement.last}."
        )
    return Read(format, within(statement, start, end))


def _found(settings: "Settings", read: "Read", provider: str | None) -> _Found:
    import msgspec

    from aibridged.clock import SystemClock
    from aibridged.records.cancel_scope import CancelScope, QueryFailedError
    from aibridged.records.daily_usage import TooMuchUsageError, first_day, usage_by_day
    from aibridged.records.database import DatabaseError
    from aibridged.records.open_database import read_database
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter
    from aibridged.records.viewer import NO_TEXTS

    of_type = None if provider else read.format.type
    every = Filter(provider=of_type, provider_name=provider)
    wanted = msgspec.structs.replace(
        every,
        started_after=_midnight(read.statement.first),
        started_before=_midnight(read.statement.last + timedelta(1)),
    )
    try:
        clock = SystemClock()
        scope = CancelScope(clock, TIME_LIMIT_S)
        query = Query(read_database(settings), clock, NO_TEXTS, scope=scope)
        begins = first_day(query, every)
        recorded = usage_by_day(query, wanted)
    except (DatabaseError, QueryFailedError) as error:
        _trouble(str(error))
    except TooMuchUsageError:
        _trouble("The record has too many days and models: narrow them by --from and --to.")
    if provider is not None and begins is None:
        _trouble(f"The record has nothing of a provider {printable(provider)!r}.")
    _note_own_rates(settings, recorded)
    return _Found(
        _by_model(recorded),
        sorted({name for _, name, _ in recorded}),
        sum(each.byok.get("requests", 0) for each in recorded.values()),
        begins,
    )


def _midnight(day: date) -> datetime:
    from datetime import UTC

    return datetime.combine(day, time(), UTC)


def _note_own_rates(settings: "Settings", recorded: "Mapping[Place, Recorded]") -> None:
    if not settings.prices:
        return
    from aibridged.prices.book import PriceBook
    from aibridged.prices.table import current_table

    book = PriceBook(current_table(settings.state_dir)[0], settings.prices, settings.providers)
    for (day, provider, model), each in recorded.items():
        card = book.card(provider, model, _midnight(day))
        each.own_rates = card is not None and card.own is not None


def _by_model(recorded: "Mapping[Place, Recorded]") -> "Mapping[tuple[date, str], Recorded]":
    from aibridged.core.usage_figures import together

    found: dict[tuple[date, str], Recorded] = {}
    for (day, _, model), each in recorded.items():
        key = day, model
        found[key] = together(found[key], each) if key in found else each
    return found


def _show(read: "Read", found: _Found, tolerance: str, entries: "Sequence[Entry]") -> None:
    from aibridged.core.reconciliation import totals

    shown = [entry for entry in entries if entry.differing]
    lines = [line for entry in shown for line in _lines(entry, entry.differing)]
    sums = totals(entries)
    of_total = [line._replace(day="TOTAL", model="") for line in _lines(sums, [*sums.record])]
    layout = Layout(chosen(_columns([*lines, *of_total])), [*lines, *of_total], terminal_width())
    typer.echo(layout.heading)
    for entry in shown:
        for line in _lines(entry, entry.differing):
            _print(layout, line)
        for reason in entry.reasons[:_REASONS]:
            for text in indented(f"- {printable(reason.text)}", "    "):
                typer.echo(text)
    for line in of_total:
        _print(layout, line)
    for remark in _remarks(read, found, tolerance, entries):
        say(remark, err=True)


def _print(layout: "Layout[_Line]", line: _Line) -> None:
    for text in layout.lines(line):
        typer.echo(text)


def _columns(lines: Sequence[_Line]) -> "list[Column[_Line]]":
    def figure(name: str) -> "Column[_Line]":
        room = max(len(name), *(len(getattr(line, name)) for line in lines))
        heading = name.upper().rjust(room)
        return Column(name, lambda line: getattr(line, name).rjust(room), heading)

    return [
        Column("day", lambda line: line.day),
        Column("model", lambda line: line.model, cut=True),
        Column("what", lambda line: line.what),
        figure("record"),
        figure("provider"),
        figure("difference"),
        figure("share"),
    ]


def _lines(entry: "Entry", metrics: Sequence[str]) -> Iterator[_Line]:
    from aibridged.core.usage_figures import as_text

    for metric in metrics:
        record, provider = entry.record[metric], entry.provider[metric]
        more = provider - record
        share = f"{more / record:+.1%}" if record else ""
        yield _Line(
            f"{entry.day}",
            _ALL if entry.model is None else entry.model,
            _NAMES[metric],
            as_text(metric, record, entry.cost_label),
            as_text(metric, provider),
            f"{'+' if more > 0 else ''}{as_text(metric, more)}",
            share if len(share) <= 7 else "",
        )


def _remarks(
    read: "Read", found: _Found, tolerance: str, entries: "Sequence[Entry]"
) -> Iterator[str]:
    statement = read.statement
    number = sum(1 for entry in entries if entry.differing)
    what = "days" if not statement.is_by_model else "days and models"
    yield (
        f"{count(number)} of {count(len(entries))} {what} differ by more than {tolerance}, "
        f"{statement.first} to {statement.last}, UTC: {read.format.name}; DIFFERENCE is what the "
        "provider has more."
    )
    if not statement.is_by_model and entries:
        yield "The file doesn't tell models apart: only whole days are compared."
    if len(found.providers) > 1:
        yield (
            f"The record's figures are those of {', '.join(map(printable, found.providers))} "
            "together: choose one by --provider."
        )
    if found.byok:
        yield f"{counted(found.byok, 'request')} with people's own keys aren't compared."
    if statement.is_by_model and statement.apart:
        from aibridged.core.usage_figures import as_text

        amount = sum(sum(each.values()) for each in statement.apart.values())
        yield f"{as_text('cost', amount)} of the provider's are of no model, and aren't compared."


def _data(
    file: Path, read: "Read", found: _Found, tolerance: str, entries: "Sequence[Entry]"
) -> dict[str, Any]:
    from aibridged.core.reconciliation import totals
    from aibridged.core.usage_figures import as_data

    def values(entry: "Entry") -> dict[str, dict[str, int | str]]:
        found = {
            name: {
                "record": as_data(name, entry.record[name]),
                "provider": as_data(name, entry.provider[name]),
            }
            for name in entry.record
        }
        if "cost" in found:
            found["cost"]["record_label"] = entry.cost_label
        return found

    statement = read.statement
    return {
        "file": str(file),
        "format": read.format.name,
        "providers": found.providers,
        "from": statement.first,
        "to": statement.last,
        "record_begins": found.begins,
        "tolerance": tolerance,
        "differs": any(entry.differing for entry in entries),
        "byok_requests": found.byok,
        "apart": [
            {"day": day, "what": what, "cost": as_data("cost", amount)}
            for day, costs in sorted(statement.apart.items())
            for what, amount in costs.items()
            if statement.is_by_model
        ],
        "days": [
            {
                "day": entry.day,
                "model": entry.model,
                "differs": entry.differing,
                "figures": values(entry),
                "reasons": [{"code": each.code, "text": each.text} for each in entry.reasons],
            }
            for entry in entries
        ],
        "total": values(totals(entries)),
    }
