import pytest

from aibridged.sign_in.forms import MAX_BYTES, MAX_FIELDS, fields


@pytest.mark.parametrize(
    ("encoded", "found"),
    [
        ("", {}),
        ("a=1&b=%20x&a=2&c", {"a": "1", "b": " x", "c": ""}),
        ("grant_type=refresh_token&unknown=1", {"grant_type": "refresh_token", "unknown": "1"}),
        ('{"grant_type": "x"}', {'{"grant_type": "x"}': ""}),
        ("a=%ff%00", {"a": "\ufffd\0"}),
        ("&".join(f"f{n}=1" for n in range(MAX_FIELDS + 1)), {}),
        ("a=" + "x" * MAX_BYTES, {}),
    ],
)
def test_fields(encoded, found):
    assert fields(encoded) == found
