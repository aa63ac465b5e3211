"""Metrics of several workers as one."""

from aibridged.daemon.workers.series import (
    PART,
    GroupSeries,
    Series,
    packed,
    together,
    unpacked,
)
from aibridged.observe.labels import OTHER
from aibridged.observe.metric import Kind, Metric
from aibridged.wire.outline import run as at_once


def series(**values: float) -> list[Series]:
    return [
        Series("requests_total", "sum", True, {("a",): [values.get("requests", 0)]}),
        Series("seconds", "sum", True, {(): [values.get("fast", 0), values.get("slow", 0)]}),
        Series("in_flight", "sum", False, {(): [values.get("in_flight", 0)]}),
        Series("limit", "max", False, {(): [values.get("limit", 0)]}),
        Series("ready", "min", False, {(): [values.get("ready", 1)]}),
    ]


def tell(group: GroupSeries, slot: int, series: list[Series]) -> None:
    at_once(group.told(slot, at_once(packed(series)), group.endings[slot]))


def all_of(group: GroupSeries) -> list[Series]:
    return at_once(together([[unpacked(part) for part in at_once(group.all())]]))


def told(group: GroupSeries) -> dict[str, list[float]]:
    return {each.name: next(iter(each.values.values())) for each in all_of(group)}


def test_what_several_tell_is_put_together_by_its_sense() -> None:
    group = GroupSeries()
    tell(group, 1, series(requests=3, fast=1, slow=2, in_flight=4, limit=9))
    tell(group, 2, series(requests=5, fast=10, slow=20, in_flight=1, limit=9, ready=0))
    assert told(group) == {
        "requests_total": [8],
        "seconds": [11, 22],
        "in_flight": [5],
        "limit": [9],
        "ready": [0],
    }


def test_no_counter_goes_back_when_a_worker_dies() -> None:
    group = GroupSeries()
    tell(group, 1, series(requests=3, slow=2, in_flight=4))
    tell(group, 2, series(requests=5, slow=1, in_flight=1))
    group.died(2)
    assert told(group)["requests_total"] == [8]
    assert told(group)["seconds"] == [0, 3]
    assert told(group)["in_flight"] == [4]
    tell(group, 2, series(requests=1))
    group.died(2)
    group.died(2)
    assert told(group)["requests_total"] == [9]


def test_labels_of_one_alone_are_kept() -> None:
    group = GroupSeries()
    tell(group, 1, [Series("requests_total", "sum", True, {("a",): [1.0], ("b",): [2.0]})])
    tell(group, 2, [Series("requests_total", "sum", True, {("b",): [3.0], ("c",): [4.0]})])
    [found] = all_of(group)
    assert found.values == {("a",): [1.0], ("b",): [5.0], ("c",): [4.0]}
    assert all_of(group) == [found], "asking changes nothing"


def test_a_group_has_as_many_labels_as_a_process_and_no_counter_goes_back() -> None:
    row = Metric("calls_total", Kind.COUNTER, "", ("provider", "model"), most=3)
    group = GroupSeries({row.name: row})
    told, before = 0.0, {}
    for life in range(20):
        models = ["a", *(f"model {life}-{number}" for number in range(5))]
        for count in (1.0, 2.0):
            values = {("p", model): [count] for model in models}
            tell(group, 1, [Series(row.name, "sum", True, values)])
            tell(group, 2, [Series(row.name, "sum", True, {("p", "model 19-4"): [1.0]})])
            [found] = all_of(group)
            assert all(found.values[labels] >= numbers for labels, numbers in before.items())
            assert sum(value for [value] in found.values.values()) == told + count * 6 + 1
            assert len(found.values) <= row.most + 1
            before = found.values
        group.died(1)
        told += 12
    assert before["p", "a"] == [40.0]
    assert ("p", OTHER) in before
    assert ("p", "model 19-4") not in before, "once under other, always there"


def test_what_ends_with_its_worker_keeps_its_labels() -> None:
    row = Metric("circuits", Kind.GAUGE, "", ("model",), most=1)
    group = GroupSeries({row.name: row})
    tell(group, 1, [Series(row.name, "max", False, {("a",): [1.0], ("b",): [2.0]})])
    [found] = all_of(group)
    assert found.values == {("a",): [1.0], ("b",): [2.0]}


def test_each_step_has_a_bounded_number_of_series() -> None:
    group, count = GroupSeries({}), 10 * PART
    values = {(str(number),): [1.0] for number in range(count)}
    parts = [Series("calls_total", "sum", True, dict([each])) for each in values.items()]
    tell(group, 1, parts)
    group.died(1)
    tell(group, 2, parts)
    steps, taken = group.all(), 0
    try:
        while True:
            next(steps)
            taken += 1
    except StopIteration as end:
        found = [unpacked(part) for part in end.value]
    assert [len(each.values) for each in found] == [PART] * 10
    assert taken == 1 + count + 10, "one per part: of the dead, of the living, of the answer"
    assert at_once(together([found]))[0].values == {at: [2.0] for at in values}


def test_what_a_worker_said_before_its_last_does_not_count_after_it() -> None:
    group = GroupSeries()
    late = group.told(1, at_once(packed(series(requests=1))), group.endings[1])
    next(late)
    group.told_last(1, at_once(packed(series(requests=3))))
    at_once(late)
    assert told(group)["requests_total"] == [3]
    late = group.told(1, at_once(packed(series(requests=1))), group.endings[1])
    next(late)
    group.died(1)
    at_once(late)
    tell(group, 1, series(requests=1))
    assert told(group)["requests_total"] == [4]
