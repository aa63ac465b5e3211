"""Own rates, and what is wrong with those that can't be read."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest

from aibridged.config.options import PriceSettings
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]


def entry(number: int, **fields: str) -> dict[str, str]:
    return {f"CODER_AIBRIDGE_PRICE_{number}_{name.upper()}": fields[name] for name in fields}


def read(resolution: Resolution) -> tuple[PriceSettings, ...]:
    assert resolution.mistakes == []
    assert resolution.settings is not None
    return resolution.settings.prices


def test_there_are_none_by_default(resolve: Resolve) -> None:
    assert read(resolve()) == ()


def test_all_that_can_be_said_in_variables(resolve: Resolve) -> None:
    environ = {
        **entry(0, provider="anthropic", model="claude-*", input="4.5", output="22.50"),
        **entry(1, cache_read="0.45", cache_write_5m="5.625", cache_write_1h="9", web_search="0"),
        **{"CODER_AIBRIDGE_PRICE_1_FROM": "2026-03-01", "CODER_AIBRIDGE_PRICE_1_MULTIPLIER": "2"},
    }
    assert read(resolve(environ=environ)) == (
        PriceSettings("anthropic", "claude-*", Decimal("4.5"), Decimal("22.5")),
        PriceSettings(
            cache_read=Decimal("0.45"),
            cache_write_5m=Decimal("5.625"),
            cache_write_1h=Decimal(9),
            web_search=Decimal(0),
            multiplier=Decimal(2),
            start=date(2026, 3, 1),
        ),
    )


def test_the_same_in_the_file_with_its_decimals(resolve: Resolve) -> None:
    text = "aibridge: {prices: [{model: gpt-5*, input: 0.1, output: 1e0, from: 2026-01-01}]}"
    [mistake] = resolve(yaml=text).mistakes
    assert "'1e0' is not a number like 2.50" in mistake.what
    resolution = resolve(yaml=text.replace("1e0", "0.3"))
    assert read(resolution) == (
        PriceSettings(
            model="gpt-5*", input=Decimal("0.1"), output=Decimal("0.3"), start=date(2026, 1, 1)
        ),
    )
    shown = {value.name: value.text for value in resolution.values}
    assert shown["prices[0].input"] == "0.1"
    assert shown["prices[0].from"] == "2026-01-01"


MISTAKES = [
    ({"model": "x"}, "*", "this entry says no price"),
    ({"model": "x", "from": "2026-01-01"}, "*", "this entry says no price"),
    ({"input": "-1"}, "INPUT", "'-1' is not a number like 2.50, with at most 9 decimals"),
    ({"input": "1,5"}, "INPUT", "'1,5' is not a number"),
    ({"input": "NaN"}, "INPUT", "'NaN' is not a number"),
    ({"input": "0.0000000001"}, "INPUT", "'0.0000000001' is not a number"),
    ({"input": "1000000.1"}, "INPUT", "1000000.1 is more than 1000000"),
    ({"multiplier": "0"}, "MULTIPLIER", "is 0: give rates of 0 to what costs nothing"),
    ({"multiplier": "1001"}, "MULTIPLIER", "1001 is more than 1000"),
    ({"input": "1", "from": "1.1.2026"}, "FROM", "'1.1.2026' is not a date like 2026-01-31"),
    ({"input": "1", "model": "x" * 513}, "MODEL", "is longer than 512 characters"),
    ({"input": "1", "provider": "nobody"}, "PROVIDER", "there is no provider 'nobody'"),
]


@pytest.mark.parametrize(("fields", "where", "what"), MISTAKES)
def test_a_mistake_is_told_with_its_place(
    resolve: Resolve, fields: dict[str, str], where: str, what: str
) -> None:
    [mistake] = resolve(environ=entry(0, **fields)).mistakes
    assert mistake.where == f"CODER_AIBRIDGE_PRICE_0_{where}"
    assert what in mistake.what
    assert mistake.remedy


@pytest.mark.parametrize(
    ("earlier", "later", "counts"),
    [
        ({"input": "1"}, {"model": "x", "input": "2"}, False),
        ({"model": "*", "input": "1"}, {"model": "x", "input": "2"}, False),
        ({"model": "x", "input": "1"}, {"model": "x", "input": "2"}, False),
        ({"model": "x", "input": "1"}, {"input": "2"}, True),
        ({"provider": "openai", "input": "1"}, {"provider": "anthropic", "input": "2"}, True),
        ({"input": "1", "from": "2026-02-01"}, {"input": "2", "from": "2026-01-01"}, True),
        ({"input": "1", "from": "2026-02-01"}, {"input": "2"}, True),
        ({"input": "1", "from": "2026-01-01"}, {"input": "2", "from": "2026-02-01"}, False),
    ],
)
def test_an_entry_that_never_counts_is_a_mistake(
    resolve: Resolve, earlier: dict[str, str], later: dict[str, str], counts: bool
) -> None:
    mistakes = resolve(environ={**entry(0, **earlier), **entry(1, **later)}).mistakes
    told = ["this price never counts: the one at CODER_AIBRIDGE_PRICE_0_* fits all that it does"]
    assert [each.what for each in mistakes] == ([] if counts else told)


def test_an_entry_without_a_value_is_a_mistake(resolve: Resolve) -> None:
    [mistake] = resolve(yaml="aibridge: {prices: [{input: 1, output: }]}").mistakes
    assert "there is no value" in mistake.what


def test_there_is_an_end_to_the_list(resolve: Resolve) -> None:
    entries = [f"{{model: m{number}, input: 1}}" for number in range(501)]
    assert len(read(resolve(yaml=f"aibridge: {{prices: [{', '.join(entries[:500])}]}}"))) == 500
    [mistake] = resolve(yaml=f"aibridge: {{prices: [{', '.join(entries)}]}}").mistakes
    assert mistake.what == "there are 501 prices, and at most 500 are read"
