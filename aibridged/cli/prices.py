"""`aibridged prices`: what models cost, by whose word."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aibridged.cli.cells import count, counted, dollars, printable
from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.database import found_settings, takes_database
from aibridged.cli.identity_store import Output, OutputFlag, as_json, show
from aibridged.cli.options import takes, without_mistakes
from aibridged.cli.recompute import recompute
from aibridged.cli.say import say
from aibridged.cli.table import fitted, width

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.core.prices import RateCard, Step
    from aibridged.prices.book import PriceBook
    from aibridged.prices.table import Table

_NEEDED = ("state_dir", "prices")
_OWN = "own"
_ROOM = 28  # cells of a model's name in a narrow terminal

_Provider = Annotated[
    str | None,
    typer.Option(metavar="PROVIDER", help="A provider of the settings, or of the table, like aws."),
]


@dataclass(frozen=True)
class _Price:
    """A line of a list: the rates of one tier, in dollars; of tokens, per million."""

    provider: str
    model: str
    source: str
    tier: str
    above_tokens: int
    is_derived: bool
    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None
    cache_write_5m: Decimal | None
    cache_write_1h: Decimal | None
    input_audio: Decimal | None
    output_audio: Decimal | None
    input_image: Decimal | None
    output_reasoning: Decimal | None
    thousand_web_searches: Decimal | None
    thousand_requests: Decimal | None


_Row = tuple[_Price, str]
"""The standard price, and what else there is: longer requests and other tiers."""


def _column(name: str, heading: str = "", **more: Any) -> "Column[_Row]":
    return Column(name, lambda row: getattr(row[0], name), heading, Kind.DOLLARS, **more)


_RATES: "tuple[Column[_Row], ...]" = (
    _column("input"),
    _column("output"),
    _column("cache_read", "CACHED", spare=True),
    _column("cache_write_5m", "WRITE 5M", spare=True),
    _column("cache_write_1h", "WRITE 1H", spare=True),
    _column("input_audio", "AUDIO IN", is_shown=False),
    _column("output_audio", "AUDIO OUT", is_shown=False),
    _column("input_image", "IMAGE IN", is_shown=False),
    _column("output_reasoning", "REASONING", is_shown=False),
    _column("thousand_web_searches", "1000 SEARCHES", is_shown=False),
    _column("thousand_requests", "1000 REQUESTS", is_shown=False),
)
_COLUMNS: "tuple[Column[_Row], ...]" = (
    Column("model", lambda row: row[0].model, short=lambda row: _short(row[0].model)),
    Column("provider", lambda row: row[0].provider, cut=True),
    *_RATES,
    Column("also", lambda row: row[1], spare=True),
    Column("source", lambda row: row[0].source),
)
_TIER_COLUMNS: "tuple[Column[_Row], ...]" = (
    Column("tier", lambda row: row[0].tier),
    Column("above_tokens", lambda row: _above(row[0].above_tokens), "TOKENS"),
    *_RATES,
)


def prices() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="prices", no_args_is_help=True, help="Show what models cost, and update it."
    )
    group.command("list")(takes(_NEEDED, _list, resolve=_settings))
    group.command("show")(takes(_NEEDED, _show, resolve=_settings))
    group.command("update")(takes((*_NEEDED, "upstream_proxy"), _update, resolve=_settings))
    group.command("recompute")(takes_database(recompute, also=("prices", "unpriced")))
    return group


def _settings(flags: Mapping[str, str]) -> "Settings":
    return without_mistakes(found_settings(flags, (*_NEEDED, "upstream_proxy")).resolution)


def _list(
    settings: "Settings",
    provider: _Provider = None,
    model: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Models whose names match, like gpt-5*.")
    ] = None,
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List what models cost now, in dollars per million tokens.

    The own rates of the settings come before the table of public prices. ALSO names the tiers and
    lengths of requests with prices of their own, which `show` has.
    """
    from aibridged.clock import SystemClock
    from aibridged.config.globs import matcher

    view = chosen(_COLUMNS, wide, columns, output=output)
    book, at = _book(settings), SystemClock().wall()
    fits = matcher([model or "*"])
    found: list[_Row] = []
    for name in _providers(settings, book, provider):
        place, _ = book.place(name)
        of_table = () if place is None else (each.id for each in place.models)
        for each in sorted({*of_table, *book.own_names(name)}):
            card = book.card(name, each, at) if fits(each) else None
            if card is not None:
                rows = [*_of_card(card, name, each)]
                found.append((rows[0], _also(rows)))
    data = [row[0] for row in found]
    show(found, view, output, nothing="No model with a price matches.", data=data)


def _show(
    settings: "Settings",
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Name of a model, as clients ask for it.")
    ],
    provider: _Provider = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Show what a model costs now, at every tier, and who says so."""
    from aibridged.clock import SystemClock

    book, at = _book(settings), SystemClock().wall()
    names = _providers(settings, book, provider)
    cards = {name: card for name in names if (card := book.card(name, model, at)) is not None}
    if not cards:
        where = ", ".join(names) or "any provider"
        say(
            f"{printable(model)} has no price at {where}. See `aibridged prices list`, or set one "
            "in aibridge.prices.",
            err=True,
        )
        raise typer.Exit(1)
    if output is Output.JSON:
        found = [
            {**_origin(card, book.table), "prices": [*_of_card(card, name, model)]}
            for name, card in cards.items()
        ]
        typer.echo(as_json(found))
        return
    for number, (name, card) in enumerate(cards.items()):
        typer.echo(("\n" if number else "") + f"{printable(model)} at {name}")
        rows = [(row, "") for row in _of_card(card, name, model)]
        typer.echo(chosen(_used(rows)).table(rows))
        for line in _remarks(rows[0][0], card, book.table):
            say(line)


def _update(
    settings: "Settings",
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Another address of the table; default its publisher's."),
    ] = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Fetch a newer table of public prices into the state directory.

    A table that can't be right, or lacks what the one in use knows, is not taken.
    """
    import asyncio

    from aibridged.clock import SystemClock
    from aibridged.prices.table import TableError
    from aibridged.prices.update import URL, check_url, update

    address = URL if url is None else url
    try:
        check_url(address)
    except ValueError as error:
        raise typer.BadParameter(f"it {error}.", param_hint="--url") from None
    try:
        table, is_new = asyncio.run(
            update(settings.state_dir, address, settings.outbound, SystemClock())
        )
    except TableError as error:
        say(f"The table {error}. The one in use stays.", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        say(f"{settings.state_dir} can't be written: {error.strerror}.", err=True)
        raise typer.Exit(1) from None
    if output is Output.JSON:
        typer.echo(as_json({"new": is_new, "models": table.models, **_of_table(table)}))
        return
    begin = "Fetched" if is_new else "There is no newer table than"
    say(f"{begin} {_described(table)}, with {counted(table.models, 'model')}.")


def _book(settings: "Settings") -> "PriceBook":
    from aibridged.prices.book import PriceBook
    from aibridged.prices.table import current_table

    table, problem = current_table(settings.state_dir)
    if problem is not None:
        say(f"{problem}. `aibridged prices update` fetches another.", err=True)
    return PriceBook(table, settings.prices, settings.providers)


def _providers(settings: "Settings", book: "PriceBook", only: str | None) -> Sequence[str]:
    """The provider that is asked for, or each of the settings whose prices differ."""
    known = [each.name for each in settings.providers]
    if only is not None:
        if only not in known and book.place(only)[0] is None:
            there_are = ", ".join(sorted({*known, *(each.id for each in book.table.providers)}))
            raise typer.BadParameter(
                f"there is no provider {printable(only)!r}; there are {there_are}.",
                param_hint="--provider",
            )
        return [only]
    with_own = {each.provider for each in settings.prices}
    seen: set[str] = set()
    found = []
    for name in known:
        place, _ = book.place(name)
        id = name if place is None else place.id
        if id not in seen or name in with_own:
            found.append(name)
        seen.add(id)
    return found


def _of_card(card: "RateCard", provider: str, model: str) -> Iterator[_Price]:
    source = "table" if card.own is None else _OWN
    for tier, of in card.tiers.items():
        for step in of.steps:
            yield _price(step, provider, model, source, tier)


def _price(step: "Step", provider: str, model: str, source: str, tier: str) -> _Price:
    from aibridged.core.prices import in_dollars

    values = {
        name: None if (rate := getattr(step.rates, name)) is None else in_dollars(rate)
        for name in step.rates.__struct_fields__
    }
    search, request = values.pop("web_search"), values.pop("request")
    return _Price(
        provider,
        model,
        source,
        tier,
        max(step.above, 0),
        step.is_derived,
        **values,
        thousand_web_searches=None if search is None else search / 1000,
        thousand_requests=None if request is None else request / 1000,
    )


def _short(name: str) -> str:
    return name if width(name) <= _ROOM else fitted(name, _ROOM)


def _also(rows: Sequence[_Price]) -> str:
    tiers = [each for each in dict.fromkeys(row.tier for row in rows) if each != rows[0].tier]
    longer = [_above(row.above_tokens) for row in rows[1:] if row.tier == rows[0].tier]
    return ", ".join([*longer, *tiers])


def _above(tokens: int) -> str:
    return f">{count(tokens)}" if tokens else "any"


def _used(rows: "Sequence[_Row]") -> "list[Column[_Row]]":
    """The columns in which there is a value."""
    empty = [each for each in _RATES if all(each.value(row) is None for row in rows)]
    return [each for each in _TIER_COLUMNS if each.is_shown and each not in empty]


def _remarks(first: _Price, card: "RateCard", table: "Table") -> Iterator[str]:
    for what, value in (
        ("Audio input", first.input_audio),
        ("Audio output", first.output_audio),
        ("Image input", first.input_image),
        ("Reasoning", first.output_reasoning),
        ("A thousand web searches", first.thousand_web_searches),
        ("A thousand requests", first.thousand_requests),
    ):
        if value is not None:
            yield f"{what}: ${dollars(value)}."
    public = f"{card.model} of {card.provider} in {_described(table)}"
    if card.own is not None:
        over = f", over {public}" if card.version is not None else ""
        yield f"By aibridge.prices[{card.own}] of the settings{over}."
    else:
        yield f"By {public}."
    if card.is_guessed:
        yield (
            "The table doesn't know the provider's address: these are the prices of the API's "
            "maker, and costs are estimates."
        )


def _described(table: "Table") -> str:
    changed = f", newest change {table.newest_change}" if table.newest_change else ""
    fetched = f", fetched {table.fetched_at:%Y-%m-%d}" if table.fetched_at else ""
    return f"{table.version} ({(changed + fetched).removeprefix(', ') or 'without dates'})"


def _of_table(table: "Table") -> dict[str, Any]:
    return {
        "table_version": table.version,
        "table_newest_change": table.newest_change,
        "table_fetched_at": table.fetched_at,
    }


def _origin(card: "RateCard", table: "Table") -> dict[str, Any]:
    of_table = _of_table(table) if card.version is not None else {}
    return {
        "table_provider": card.provider,
        "table_model": card.model,
        "own_rate": card.own,
        "provider_guessed": card.is_guessed,
        **of_table,
    }
