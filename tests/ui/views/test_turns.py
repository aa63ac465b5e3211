"""A turn as pages show it: bounded."""

import pytest

from aibridged.ui.views import turns
from aibridged.ui.views.turns import LEAST_SHOWN, ROWS, SHOWN, Room, columns, turn

BREAK = {
    "before_id": "0",
    "cause": "tools_changed",
    "lost_tokens": 20_000,
    "seconds": 30.0,
    "cost": "0.1",
    "cost_label": "exact",
    "difference": {
        "place": 11,
        "change": "inserted",
        "kind": "tool",
        "role": "",
        "size_before": None,
        "size": 9,
    },
}


def found(**changes):
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 70,
        "cache_write_input_tokens": 20,
    }
    return {
        "id": "i1",
        "started_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:00:04.5Z",
        "model": "claude",
        "outcome": "completed",
        "cost": "0.25",
        "metadata": {},
        "token_usages": [usage, usage],
        "user_prompts": [],
        "model_thoughts": [],
        "tool_usages": [],
        "cache_break": None,
        **changes,
    }


def row(text, **more):
    return {"id": "r 1", "prompt": text, "truncated": False, **more}


def test_figures_are_those_of_all_responses():
    made = turn(found(), Room())
    assert (made.seconds, made.given, made.cached, made.output) == (4.5, 200, 140, 10)
    assert (made.share, made.look, made.lost) == (0.7, "ok", "")
    [column] = columns([made])
    assert (column.at, column.seconds, column.cost, column.share) == (
        "2026-01-01 00:00:00",
        4.5,
        0.25,
        0.7,
    )


def test_one_that_is_open_has_no_figures():
    made = turn(found(ended_at=None, outcome=None, cost=None, token_usages=[]), Room())
    assert (made.seconds, made.share, made.look) == (None, None, "warn")
    [column] = columns([made])
    assert (column.outcome, column.cost, column.is_failed) == ("open", None, False)


def test_what_broke_the_cache_is_a_sentence():
    made = turn(found(cache_break=BREAK), Room())
    assert made.lost == "the tools changed: block 12 (tool) was inserted"


@pytest.mark.parametrize(
    ("length", "truncated", "most", "is_more"),
    [(10, False, 10, False), (10, True, 10, True), (SHOWN + 1, False, SHOWN, True)],
)
def test_a_long_text_has_a_link_to_all_of_it(length, truncated, most, is_more):
    prompts = [row("x" * length, truncated=truncated)]
    [text] = turn(found(user_prompts=prompts), Room()).prompts
    assert text.most == most
    assert text.whole == ("/interceptions/i1/texts/r%201" if is_more else "")


def test_texts_of_a_page_have_a_bound_together():
    room = Room(2 * SHOWN)
    shown = []
    for _ in range(10):
        made = turn(found(user_prompts=[row("x" * SHOWN)]), room)
        shown.append(made.prompts[0].most)
    assert shown == [SHOWN, SHOWN] + [LEAST_SHOWN] * 8


def test_rows_of_a_turn_have_a_bound():
    calls = [{"id": str(n), "tool": "ls", "input": "{}", "truncated": False} for n in range(99)]
    made = turn(found(tool_usages=calls), Room())
    assert len(made.calls) == ROWS
    assert made.left_out == 99 - ROWS
    assert turns.ROWS * LEAST_SHOWN < turns.PAGE_CHARACTERS
