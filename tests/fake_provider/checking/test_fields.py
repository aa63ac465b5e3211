import pytest

from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.checking.fields import answered, listed, names_of_tools, only, schema


def test_what_is_in_order_passes():
    only({"a": 1}, listed("a b"), "x.")
    names_of_tools(["a", "b-c_1"], 64)
    schema({"type": "object", "properties": {}}, with_properties=True)
    schema({"type": "object"}, with_properties=False)
    answered(["c"], ["c"])


@pytest.mark.parametrize(
    "check",
    [
        lambda: only({"a": 1, "c": 1}, listed("a b"), "x."),
        lambda: names_of_tools(["a", "a"], 64),
        lambda: names_of_tools(["a" * 65], 64),
        lambda: names_of_tools(["a.b"], 64),
        lambda: schema({}, with_properties=False),
        lambda: schema({"type": "object"}, with_properties=True),
        lambda: schema({"type": "object", "properties": {}, "anyOf": []}, with_properties=True),
        lambda: answered(["c"], []),
        lambda: answered([], ["c"]),
    ],
)
def test_what_is_not_is_refused(check):
    with pytest.raises(InvalidRequestError):
        check()
