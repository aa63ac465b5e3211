"""Providers' usage and cost exports: known by their content, summed, and refused with the place."""

import json
from datetime import date

import pytest

from aibridged.core.usage_figures import METRICS
from aibridged.providers import usage_files
from aibridged.providers.usage_files import FORMATS, UsageFileError, read_usage_file

DAY, NEXT = date(2026, 11, 1), date(2026, 11, 2)
AT = 1793491200  # that day's start
CONSOLE_USAGE = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,"
    "usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,"
    "usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,"
    "web_search_count,inference_geo,speed\n"
)
CONSOLE_COST = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,"
    "list_price_usd,cost_type,inference_geo,speed\n"
)
DASHBOARD_USAGE = (
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,api_key_id,"
    "model,input_tokens,output_tokens,input_cached_tokens,batch\n"
)
DASHBOARD_COST = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item\n"
)


@pytest.fixture
def read(tmp_path):
    def read(content):
        file = tmp_path / "export"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_usage_file(file)

    return read


def page(*buckets, **more):
    return {"data": list(buckets), "has_more": False, "next_page": None, **more}


def anthropic(*results, day="2026-11-01"):
    return {
        "starting_at": f"{day}T00:00:00Z",
        "ending_at": f"{day[:8]}{int(day[8:]) + 1:02}T00:00:00Z",
        "results": list(results),
    }


def openai(*results, at=AT):
    return {
        "object": "bucket",
        "start_time": at,
        "end_time": at + 86400,
        "results": list(results),
    }


def of_messages(model, tier="standard", **fields):
    return {
        "uncached_input_tokens": 1500,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "cache_read_input_tokens": 200,
        "output_tokens": 500,
        "server_tool_use": {"web_search_requests": 10},
        "api_key_id": None,
        "model": model,
        "service_tier": tier,
        **fields,
    }


def of_completions(model, **fields):
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "output_tokens": 500,
        "input_cached_tokens": 800,
        "num_model_requests": 5,
        "model": model,
        "batch": None,
        **fields,
    }


def of_costs(item, value=0.06, currency="usd"):
    amount = {"value": value, "currency": currency}
    return {"object": "organization.costs.result", "amount": amount, "line_item": item}


def of_cost_report(model, amount="123.45", what="tokens", currency="USD"):
    return {"amount": amount, "currency": currency, "model": model, "cost_type": what}


TOKENS = METRICS[1:5]


def figures(*tokens, **more):
    return dict(zip(TOKENS, tokens, strict=True)) | more


CASES = {
    "Console, usage": (
        CONSOLE_USAGE + "2026-11-01,claude-a,k,Default,standard,≤ 200k,10,1,2,300,7,0,global,\n"
        "2026-11-01,claude-a,k2,Default,batch,≤ 200k,10,0,0,0,3,0,global,\n"
        "2026-11-02 23:59,claude-b,k,Default,standard,≤ 200k,1,0,0,0,1,0,global,fast\n",
        {
            (DAY, "claude-a"): figures(20, 300, 3, 10),
            (NEXT, "claude-b"): figures(1, 0, 0, 1),
        },
        {
            (DAY, "claude-a"): figures(10, 0, 0, 3),
            (NEXT, "claude-b"): figures(1, 0, 0, 1),
        },
    ),
    "Console, cost": (
        CONSOLE_COST
        + "2026-11-01,Claude Haiku 4.5,D,k,message,≤ 200k,input_no_cache,0.1,0.1,token,,\n"
        "2026-11-01,Claude Haiku 4.5,D,k,message,≤ 200k,output,0.02,0.1,token,,\n"
        "2026-11-01,Claude 3.5 Sonnet 2024-10-22,D,k,message,≤ 200k,output,1,1,token,,\n"
        "2026-11-01,Claude Haiku 4.5,D,k,message,,web_search,0.5,0.5,web_search,,\n",
        {
            (DAY, "claude-haiku-4-5"): {"cost": 120_000_000},
            (DAY, "claude-3-5-sonnet-20241022"): {"cost": 10**9},
            (DAY, None): {"cost": 500_000_000},
        },
        {},
    ),
    "usage of messages": (
        json.dumps(
            page(
                anthropic(of_messages("claude-a"), of_messages("claude-a", "batch")),
                anthropic(day="2026-11-02"),
            ),
            indent=2,
        ),
        {(DAY, "claude-a"): figures(3000, 400, 3000, 1000)},
        {(DAY, "claude-a"): figures(1500, 200, 1500, 500)},
    ),
    "cost report": (
        json.dumps(
            [
                page(anthropic(of_cost_report("claude-a"), of_cost_report("claude-a", "0.005"))),
                page(anthropic(of_cost_report(None, "10", "web_search"))),
            ]
        ),
        {(DAY, "claude-a"): {"cost": 1_234_550_000}, (DAY, None): {"cost": 100_000_000}},
        {},
    ),
    "dashboard, usage": (
        "\ufeff" + DASHBOARD_USAGE + f"{AT},{AT + 60},x,x,p,3.0,k,gpt-a,1000,50,400.0,\n"
        f"{AT + 60},{AT + 120},x,x,p,1,k,gpt-a,10,5,,True\n"
        f"{AT + 86400},{AT + 2 * 86400},x,x,,,,,,,,\n",
        {(DAY, "gpt-a"): figures(610, 400, 0, 55, requests=4)},
        {(DAY, "gpt-a"): figures(10, 0, 0, 5, requests=1)},
    ),
    "dashboard, cost": (
        DASHBOARD_COST + f'{AT},{AT + 86400},x,x,0.123456789012,usd,"gpt-a, cached input"\n'
        f"{AT},{AT + 86400},x,x,2,usd,web search tool calls\n{AT + 86400},,x,x,,,\n",
        {(DAY, "gpt-a"): {"cost": 123_456_789}, (DAY, None): {"cost": 2 * 10**9}},
        {},
    ),
    "completions": (
        "\n".join(
            json.dumps(page(openai(each), object="page"))
            for each in (
                of_completions("gpt-a"),
                of_completions("gpt-a", batch=True, input_cache_write_tokens=100),
            )
        ),
        {(DAY, "gpt-a"): figures(300, 1600, 100, 1000, requests=10)},
        {(DAY, "gpt-a"): figures(100, 800, 100, 500, requests=5)},
    ),
    "costs": (
        json.dumps(page(openai(of_costs("gpt-a, input"), of_costs("gpt-a", "0.000000001")))),
        {(DAY, "gpt-a"): {"cost": 60_000_001}},
        {},
    ),
}


@pytest.mark.parametrize(("content", "found", "tiers"), CASES.values(), ids=CASES)
def test_a_file_is_summed_by_day_and_model(read, content, found, tiers):
    _, statement = read(content)
    assert statement.figures == found
    assert statement.other_tiers == tiers
    assert statement.metrics == {name for each in found.values() for name in each}
    assert statement.first == DAY


def test_every_format_has_a_case(read):
    assert {read(content).format.name for content, *_ in CASES.values()} == {
        each.name for each in FORMATS
    }


def test_empty_buckets_are_days_of_the_file(read):
    assert read(CASES["usage of messages"][0]).statement.last == DAY
    assert read(CASES["dashboard, usage"][0]).statement.last == NEXT


def test_costs_of_no_model_are_apart(read):
    assert read(CASES["cost report"][0]).statement.apart == {DAY: {"web_search": 100_000_000}}
    ungrouped = read(json.dumps(page(openai(of_costs(None))))).statement
    assert not ungrouped.is_by_model
    assert ungrouped.figures == {(DAY, None): {"cost": 60_000_000}}


def test_amounts_are_never_floats(read):
    value = "0.1234567895"  # as a float, it would be rounded down
    text = json.dumps(page(openai(of_costs("gpt-a")))).replace("0.06", value)
    assert read(text).statement.figures == {(DAY, "gpt-a"): {"cost": 123_456_790}}


GOOD = "2026-11-01,claude-a,k,D,standard,x,10,0,0,0,7,0,global,\n"
REFUSED = {
    "nothing": ("", "is empty"),
    "another table": ("a,b\n1,2\n", "no known format, by its columns 'a, b'. Known are: usage"),
    "a heading alone": (CONSOLE_USAGE, "has no usage"),
    "too few fields": (CONSOLE_USAGE + GOOD + "2026-11-01,x\n", "has 2 fields in line 3"),
    "no count": (CONSOLE_USAGE + GOOD + GOOD.replace(",7,", ",1.5,"), "line 3: usage_output_to"),
    "a negative count": (CONSOLE_USAGE + GOOD.replace(",7,", ",-1,"), "line 2: usage_output"),
    "a huge count": (CONSOLE_USAGE + GOOD.replace(",7,", ",1e30,"), "which is no count"),
    "a monstrous number": (CONSOLE_USAGE + GOOD.replace(",7,", ",1e999999,"), "which is no num"),
    "not a number": (CONSOLE_USAGE + GOOD.replace(",7,", ",NaN,"), "which is no number"),
    "no date": (CONSOLE_USAGE + GOOD.replace("2026-11-01", "yesterday"), "which is no date"),
    "a model's long name": (CONSOLE_USAGE + GOOD.replace("claude-a", "a" * 300), "is no name"),
    "a long line": (CONSOLE_USAGE + "a" * 100_000, "more than 65,536 bytes in line 2"),
    "many columns": (",".join("c" * 300), "has 300 columns"),
    "no text": (CONSOLE_USAGE.encode() + b"\xff\n", "isn't UTF-8 in line 2"),
    "an open quote": (CONSOLE_USAGE + '"2026', "is no CSV in line 2"),
    "euros": (DASHBOARD_COST + f"{AT},,x,x,1,eur,gpt-a\n", "line 2: the currency is 'eur'"),
    "a month": (DASHBOARD_COST + f"{AT},{AT + 9**7},x,x,1,usd,gpt-a\n", "more than a day"),
    "no time": (DASHBOARD_COST + "1,2,x,x,1,usd,gpt-a\n", "no time in seconds"),
    "too much": (DASHBOARD_COST + f"{AT},,x,x,9999999999,usd,a\n", "which is too much"),
    "more cached than given": (
        json.dumps(page(openai(of_completions("a", input_cached_tokens=2000)))),
        "data[0].results[0]: input_tokens are fewer",
    ),
    "broken JSON": ('{"data": [', "is no JSON"),
    "other JSON": ('{"object": "list"}', "is no page of a usage API"),
    "deep JSON": ('{"data":' + "[" * 100_000, "is no"),
    "another result": (
        json.dumps(page(openai({"object": "organization.usage.images.result", "images": 2}))),
        "no known format, by its fields 'object, images'",
    ),
    "two kinds of results": (
        json.dumps(page(openai(of_completions("a"), of_costs("a")))),
        "lacks input_tokens, num_model_requests at page 1, data[0].results[1]",
    ),
    "no results": (json.dumps(page(openai())), "has no usage"),
    "a truth for a count": (
        json.dumps(page(openai(of_completions("a", output_tokens=True)))),
        "output_tokens is True",
    ),
    "cents of nothing": (
        json.dumps(page(anthropic(of_cost_report("a", None)))),
        "amount is None",
    ),
    "a list of writes": (
        json.dumps(page(anthropic(of_messages("a", cache_creation=[1])))),
        "cache_creation is no object",
    ),
}


@pytest.mark.parametrize(("content", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_right_is_refused_with_its_place(read, content, told):
    with pytest.raises(UsageFileError) as refused:
        read(content)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    ("bound", "content"),
    [
        ("MAX_CSV_BYTES", CONSOLE_USAGE + GOOD * 20),
        ("MAX_JSON_BYTES", json.dumps(page(*[anthropic(of_messages("a"))] * 20))),
        ("MAX_KEYS", CONSOLE_USAGE + "".join(GOOD.replace("-a", f"-{n}") for n in range(20))),
        (
            "MAX_DAYS",
            CONSOLE_USAGE + "".join(GOOD.replace("-01,", f"-{n},") for n in range(10, 30)),
        ),
    ],
)
def test_there_are_bounds(read, monkeypatch, bound, content):
    read(content)
    monkeypatch.setattr(usage_files, bound, 1000 if "BYTES" in bound else 10)
    with pytest.raises(UsageFileError, match="export a shorter time"):
        read(content)


def test_costs_of_very_many_things_are_summed(read, monkeypatch):
    monkeypatch.setattr(usage_files, "_MAX_APART", 3)
    rows = "".join(f"{AT},,x,x,1,usd,tool {n}\n" for n in range(10))
    (of_day,) = read(DASHBOARD_COST + rows).statement.apart.values()
    assert of_day == {f"tool {n}": 10**9 for n in range(3)} | {"other": 7 * 10**9}
