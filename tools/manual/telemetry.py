"""The manual's page of section 7: every metric and span."""

from collections.abc import Iterator

from aibridged.observe.metric import Metric
from aibridged.observe.metric_table import SECTIONS
from aibridged.observe.spans import SPANS, Span
from tools.manual import mdoc
from tools.manual.pages import document, parts, see_also, terms
from tools.manual.prose import metrics as prose

NAME = "aibridged-metrics"


def telemetry_page() -> str:
    """The text of aibridged-metrics(7)."""
    body = [
        *mdoc.section("DESCRIPTION", parts(prose.ABOUT)),
        *mdoc.section("METRICS", [*parts(prose.METRICS), *_metrics()]),
        *mdoc.section("SPANS", [*parts(prose.SPANS), *mdoc.listing(map(_span, SPANS))]),
        *mdoc.section("ENVIRONMENT", terms("Ev", prose.ENVIRONMENT)),
        *mdoc.section("EXAMPLES", parts(prose.QUERIES)),
        *see_also(f"{NAME}(7)", prose.SEE_ALSO),
    ]
    return document(NAME, 7, "metrics and traces of aibridged", body)


def _metrics() -> Iterator[str]:
    for heading, rows in SECTIONS.items():
        yield from mdoc.subsection(heading, mdoc.listing(map(_metric, rows)))


def _metric(row: Metric) -> tuple[list[str], str]:
    facts = f"A {row.kind}" + (f", by {_enumerated(row.labels)}" if row.labels else "")
    if row.buckets:
        facts += f"; the buckets end at {', '.join(map(_decimal, row.buckets))}"
    return ["Cm", mdoc.argument(row.name)], f"{row.help} {facts}."


def _decimal(bound: float) -> str:
    return f"{bound:.6f}".rstrip("0").rstrip(".")


def _span(row: Span) -> tuple[list[str], str]:
    below = f"Below `{row.parent}`. " if row.parent else ""
    return [
        "Cm",
        mdoc.argument(row.name),
    ], f"{row.help} {below}Holds {_enumerated(row.attributes)}."


def _enumerated(words: tuple[str, ...]) -> str:
    *most, last = (f"`{word}`" for word in words)
    return f"{', '.join(most)} and {last}" if most else last
