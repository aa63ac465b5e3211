"""JSON files keep their layout; those that can't be edited aren't."""

import pytest

from aibridged.login.setup.change import UneditableError
from aibridged.login.setup.json_file import edit_json, member


def put(data):
    member(data, "env")["A"] = "é"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", '{\n  "env": {\n    "A": "é"\n  }\n}\n'),
        ("{}", '{\n  "env": {\n    "A": "é"\n  }\n}'),
        ('{\n\t"z": 1\n}\n', '{\n\t"z": 1,\n\t"env": {\n\t\t"A": "é"\n\t}\n}\n'),
        (
            '{\r\n    "z": 1\r\n}',
            '{\r\n    "z": 1,\r\n    "env": {\r\n        "A": "é"\r\n    }\r\n}',
        ),
        (
            '{\n  "env": {\n    "B": 1.50\n  },\n  "y": []\n}\n',
            '{\n  "env": {\n    "B": 1.5,\n    "A": "é"\n  },\n  "y": []\n}\n',
        ),
    ],
)
def test_the_layout_stays(text, made):
    assert edit_json(text, put) == made


def test_what_is_there_already_changes_nothing():
    text = '{ "env": {"A":"é"} }'
    assert edit_json(text, put) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "isn't JSON: line 1, column 2"),
        ('{\n// mine\n"a": 1}', "comments would be lost"),
        ("[]", "isn't a JSON object"),
        ('{"a": 1, "a": 2}', "occurs twice"),
        ('{"x": {"a": 1, "a": 2}}', "occurs twice"),
        ('{"env": []}', '"env" isn\'t an object'),
        ("\ufeff{}", "byte order mark"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": "\\ud800"}', "would not stay"),
        ('{"a": 1e400}', "would not stay"),
        ('{"a": NaN}', "would not stay"),
        ('{"a": 1.00000000000000000001}', "would not stay"),
        ('{"a": ' + "9" * 5000 + "}", "would not stay"),
    ],
)
def test_what_cannot_be_edited_is_said(text, why):
    with pytest.raises(UneditableError, match=why):
        edit_json(text, put)
