from aibridged.wire.injection.counts import add


def test_counts_of_the_same_name_are_added_at_any_depth():
    before = {"input": 1, "details": {"cached": 2, "audio": 1}, "tier": "a", "none": None}
    usage = {"input": 10, "output": 5, "details": {"cached": 20}, "tier": "b", "none": 3}
    assert add(before, usage) == {
        "input": 11,
        "output": 5,
        "details": {"cached": 22, "audio": 1},
        "tier": "b",
        "none": 3,
    }


def test_null_takes_nothing_away():
    assert add({"a": 1, "b": {"c": 1}}, {"a": None, "b": None, "d": None}) == {
        "a": 1,
        "b": {"c": 1},
        "d": None,
    }


def test_a_truth_is_no_count():
    assert add({"a": True}, {"a": True}) == {"a": True}


def test_neither_is_changed():
    before, usage = {"a": {"b": 1}}, {"a": {"b": 1}}
    add(before, usage)
    assert before == usage == {"a": {"b": 1}}
