"""Lists of entries, as any of them is declared, given and shown."""

from aibridged.config import entries, kinds
from aibridged.config.declare import Group
from aibridged.config.entries import EntryList
from aibridged.config.resolution import Mistake

THINGS = EntryList(
    "things",
    "thing",
    "THING",
    "name: …",
    Group.LIMITS,
    {"name": kinds.TEXT, "size": kinds.POSITIVE, "size_of_lid": kinds.POSITIVE},
)


def given(environ: dict[str, str]) -> tuple[list[dict[str, str]], list[Mistake]]:
    mistakes: list[Mistake] = []
    found = entries.from_environment(THINGS, environ, mistakes)
    return [{name: each.text for name, each in entry.fields.items()} for entry in found], mistakes


def test_names() -> None:
    assert THINGS.yamls == ("aibridge.things", "ai_gateway.things")
    assert list(THINGS.variables(3)) == [
        f"{prefix}_THING_3_{field}"
        for prefix in ("CODER_AIBRIDGE", "CODER_AI_GATEWAY")
        for field in ("NAME", "SIZE", "SIZE_OF_LID")
    ]
    assert all(THINGS.variable.fullmatch(name) for name in THINGS.variables(0))
    for other in ("CODER_AIBRIDGE_THING_01_NAME", "CODER_AIBRIDGE_THING_X_NAME", "THING_0_NAME"):
        assert not THINGS.variable.fullmatch(other)


def test_entries_are_counted_from_0_under_both_names() -> None:
    environ = {
        "CODER_AIBRIDGE_THING_0_NAME": "a",
        "CODER_AI_GATEWAY_THING_1_NAME": "b",
        "CODER_AIBRIDGE_THING_1_SIZE_OF_LID": "2",
        "CODER_AIBRIDGE_THING_2_NAME": "",
    }
    assert given(environ) == ([{"name": "a"}, {"name": "b", "size_of_lid": "2"}], [])


def test_a_gap_is_a_mistake_and_nothing_is_lost() -> None:
    found, [mistake] = given(
        {"CODER_AIBRIDGE_THING_0_NAME": "a", "CODER_AIBRIDGE_THING_2_NAME": "c"}
    )
    assert found == [{"name": "a"}, {"name": "c"}]
    assert mistake.where == "CODER_AIBRIDGE_THING_2_*"
    assert mistake.remedy == "Number the things from 0, without a gap."


def test_they_are_shown_by_their_place() -> None:
    found = entries.from_environment(THINGS, {"CODER_AIBRIDGE_THING_0_SIZE": "7"}, [])
    [value] = entries.values_of(THINGS, found)
    assert (value.name, value.text, value.data) == ("things[0].size", "7", 7)
