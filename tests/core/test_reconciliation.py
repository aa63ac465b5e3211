"""Reconciliation: which figures differ, and why."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from aibridged.core.discrepancies import Circumstances
from aibridged.core.reconciliation import compare, differs, same_names, totals
from aibridged.core.usage_figures import (
    COST,
    METRICS,
    TOKENS,
    Recorded,
    Statement,
    as_text,
    base_name,
    together,
    within,
)

DAY = date(2026, 11, 5)
NEXT = DAY + timedelta(1)
USUAL = Circumstances(DAY + timedelta(20), DAY - timedelta(100), Decimal("0.005"))


def figures(input=1000, cached=0, written=0, output=100, *, requests=10, cost=10**9):
    return dict(zip(METRICS, (requests, input, cached, written, output, cost), strict=True))


def statement(of, metrics=METRICS, **fields):
    days = [day for day, _ in of]
    return Statement(
        metrics=frozenset(metrics),
        first=min(days, default=DAY),
        last=max(days, default=DAY),
        figures={key: {n: v for n, v in each.items() if n in metrics} for key, each in of.items()},
        **fields,
    )


def reasons(recorded, provider, circumstances=USUAL, metrics=METRICS, **fields):
    """The codes of the first day's, likeliest first."""
    ours = {(DAY, "m"): recorded} if isinstance(recorded, Recorded) else recorded
    theirs = {(DAY, "m"): provider} if "m" not in {key[1] for key in provider} else provider
    entry = compare(ours, statement(theirs, metrics, **fields), circumstances)[0]
    return [each.code for each in entry.reasons]


def test_what_agrees_has_no_reason():
    (entry,) = compare(
        {(DAY, "m"): Recorded(figures=figures(), partial=3)},
        statement({(DAY, "m"): figures(input=1004)}),
        USUAL,
    )
    assert (entry.differing, entry.reasons) == ((), ())


@pytest.mark.parametrize(
    ("record", "provider", "told"),
    [(1000, 1005, False), (1000, 1006, True), (1006, 1000, True), (0, 1, True), (0, 0, False)],
)
def test_a_difference_is_a_share_of_the_greater_one(record, provider, told):
    assert differs(record, provider, Decimal("0.005")) is told


def test_only_metrics_of_the_file_are_compared():
    (entry,) = compare(
        {(DAY, "m"): Recorded(figures=figures(requests=3, cost=5))},
        statement({(DAY, "m"): figures()}, TOKENS),
        USUAL,
    )
    assert tuple(entry.record) == TOKENS
    assert entry.differing == ()


def test_each_side_alone_is_compared_with_nothing():
    entries = compare(
        {(DAY, "ours"): Recorded(figures=figures())},
        statement({(NEXT, "theirs"): figures()}),
        USUAL,
    )
    assert [(each.day, each.model, each.differing) for each in entries] == [
        (DAY, "ours", tuple(name for name in METRICS if figures()[name])),
        (NEXT, "theirs", tuple(name for name in METRICS if figures()[name])),
    ]
    total = totals(entries)
    assert total.record == total.provider == figures()


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("gpt-4-0613", "gpt-4-0613"),
        ("gpt-5-2025-13-07", "gpt-5-2025-13-07"),
        ("claude-opus-4-8", "claude-opus-4-8"),
        ("m-20250532", "m-20250532"),
    ],
)
def test_a_date_at_the_end_is_a_version(name, base):
    assert base_name(name) == base


@pytest.mark.parametrize(
    ("ours", "theirs", "names", "ambiguous"),
    [
        ({"gpt-5"}, {"gpt-5-2025-08-07"}, {"gpt-5": "gpt-5-2025-08-07"}, set()),
        ({"c-latest"}, {"c-20250101"}, {"c-latest": "c-20250101"}, set()),
        ({"c-20250101"}, {"c"}, {"c-20250101": "c"}, set()),
        ({"gpt-4o"}, {"gpt-4o-2024-05-13", "gpt-4o-2024-08-06"}, {}, {"gpt-4o"}),
        ({"gpt-4o-2024-05-13"}, {"gpt-4o-2024-08-06"}, {}, set()),
        ({"gpt-4o"}, {"gpt-4o", "gpt-4o-2024-08-06"}, {}, set()),
        ({"gpt-5"}, {"gpt-5-mini-2025-08-07"}, {}, set()),
    ],
)
def test_names_are_the_same_only_where_that_is_sure(ours, theirs, names, ambiguous):
    assert same_names(ours, theirs) == (names, ambiguous)


def test_an_alias_is_added_to_its_version():
    (entry,) = compare(
        {
            (DAY, "gpt-5"): Recorded(figures=figures(input=400)),
            (DAY, "gpt-5-2025-08-07"): Recorded(figures=figures(input=600)),
        },
        statement({(DAY, "gpt-5-2025-08-07"): figures()}, ["input_tokens"]),
        USUAL,
    )
    assert (entry.record, entry.differing) == ({"input_tokens": 1000}, ())


def test_without_models_whole_days_are_compared():
    (entry,) = compare(
        {
            (DAY, "a"): Recorded(figures=figures(cost=4), unpriced=1),
            (DAY, "b"): Recorded(figures=figures(cost=6), unpriced=2),
        },
        statement({(DAY, None): figures(cost=5)}, [COST], apart={DAY: {"other": 5}}),
        USUAL,
    )
    assert (entry.model, entry.record[COST]) == (None, 10)
    assert "apart" not in {each.code for each in entry.reasons}


def test_before_the_record_begins():
    later = USUAL._replace(begins=NEXT)
    assert reasons({}, {(DAY, "m"): figures()}, later)[0] == "before_record"
    assert reasons({}, {(DAY, "m"): figures()}, USUAL._replace(begins=None))[0] == "before_record"


def test_a_day_that_is_not_over():
    ours = Recorded(figures=figures(2000))
    assert reasons(ours, figures(), USUAL._replace(today=DAY))[0] == "not_over"


def test_a_shift_to_the_next_day():
    found = reasons(
        {(DAY, "m"): Recorded(figures=figures(900)), (NEXT, "m"): Recorded(figures=figures(1100))},
        {(DAY, "m"): figures(), (NEXT, "m"): figures()},
    )
    assert found[0] == "other_day"
    found = reasons(
        {(DAY, "m"): Recorded(figures=figures(900)), (NEXT, "m"): Recorded(figures=figures(9000))},
        {(DAY, "m"): figures(), (NEXT, "m"): figures()},
    )
    assert "other_day" not in found


def test_a_model_that_others_use():
    assert reasons({}, {(DAY, "m"): figures()}) == ["no_record"]


def test_an_alias_that_may_be_of_several_versions():
    found = compare(
        {(DAY, "m"): Recorded(figures=figures())},
        statement({(DAY, "m-20250101"): figures(500), (DAY, "m-20250601"): figures(500)}),
        USUAL,
    )
    by_model = {each.model: each.reasons[0] for each in found}
    assert by_model["m-20250101"].code == by_model["m-20250601"].code == "alias"
    assert "has m, which" in by_model["m-20250101"].text


def test_broken_requests_are_likelier_the_better_they_explain_it():
    small = Recorded(figures=figures(), partial=1)
    assert reasons(small, figures(1100))[0] == "partial"  # a tenth of the requests lacks a tenth
    assert reasons(small, figures(100_000))[0] == "other_programs"
    silent = Recorded(figures=figures(), silent=1)
    assert reasons(silent, figures(1100))[0] == "partial"
    assert "partial" not in reasons(small, figures(500))


def test_own_keys():
    ours = Recorded(figures=figures(), byok=figures(500, output=0, requests=4))
    assert reasons(ours, figures(1500))[0] == "byok"
    assert reasons(ours, figures(100_000))[0] != "byok"


def test_batches():
    batch = {(DAY, "m"): figures(5000, output=0)}
    assert reasons(Recorded(figures=figures()), figures(6000), other_tiers=batch)[0] == "tier"
    assert "tier" not in reasons(
        Recorded(figures=figures()), figures(500, 0, 0, 50, cost=5), other_tiers=batch
    )


def test_midnight():
    ours = Recorded(figures=figures(), late=200)
    found = reasons(ours, figures(800))
    assert found[0] == "midnight"
    assert "midnight" not in reasons(Recorded(figures=figures(), late=1), figures(800))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"unpriced": 10}, "unpriced"),
        ({"uncosted": 9}, "not_computed"),
        ({"estimated": 8}, "estimated"),
    ],
)
def test_costs_that_are_missing_or_guessed(fields, code):
    ours = Recorded(figures=figures(cost=10**8), **fields)
    assert reasons(ours, figures())[0] == code
    assert code not in reasons(ours, figures(5000, cost=10**8))


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, "$1.00"),
        ({"estimated": 1}, "~$1.00"),
        ({"estimated": 1, "unpriced": 1}, "$1.00+"),
        ({"uncosted": 1}, "$1.00+"),
    ],
)
def test_a_cost_on_record_has_its_label(fields, shown):
    entries = compare(
        {
            (DAY, "m"): Recorded(figures=figures(), **fields),
            (DAY, "n"): Recorded(figures=figures(cost=0)),
        },
        statement({}),
        USUAL,
    )
    for each in (entries[0], totals(entries)):
        assert as_text(COST, each.record[COST], each.cost_label) == shown


def test_prices():
    own = Recorded(figures=figures(cost=85 * 10**7), own_rates=True)
    (entry,) = compare({(DAY, "m"): own}, statement({(DAY, "m"): figures()}), USUAL)
    assert [each.code for each in entry.reasons] == ["own_rates", "price"]
    assert "85.0% of the provider's" in entry.reasons[0].text
    assert reasons(Recorded(figures=figures(cost=2 * 10**9)), figures())[0] == "price"


def test_costs_apart():
    found = reasons(
        Recorded(figures=figures(cost=15 * 10**8)),
        figures(),
        metrics=[COST],
        apart={DAY: {"web_search": 5 * 10**8}},
    )
    assert found[0] == "apart"


def test_sums_of_records():
    one = Recorded(figures={"a": 1}, byok={"b": 1}, partial=1, silent=2, unpriced=3, uncosted=4)
    both = together(one, Recorded(figures={"a": 1, "c": 5}, estimated=6, late=7, own_rates=True))
    assert both == Recorded(
        figures={"a": 2, "c": 5},
        byok={"b": 1},
        partial=1,
        silent=2,
        unpriced=3,
        uncosted=4,
        estimated=6,
        late=7,
        own_rates=True,
    )


def test_a_narrower_time():
    wide = statement(
        {(DAY, "m"): figures(), (NEXT, "m"): figures()},
        other_tiers={(DAY, "m"): {}, (NEXT, "m"): {}},
        apart={DAY: {}, NEXT: {}},
    )
    narrow = within(wide, NEXT, NEXT + timedelta(5))
    assert (narrow.first, narrow.last) == (NEXT, NEXT)
    for of in (narrow.figures, narrow.other_tiers):
        assert {day for day, _ in of} == {NEXT}
    assert set(narrow.apart) == {NEXT}
