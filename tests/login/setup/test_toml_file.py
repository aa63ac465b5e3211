"""TOML files are edited line by line: every other byte stays."""

import tomllib

import pytest

from aibridged.login.setup.change import UneditableError
from aibridged.login.setup.toml_file import set_table, set_value

NAME = ("model_providers", "aibridge")
TABLE = {"name": "AI Bridge", "flag": False, "auth": {"args": ["a b", 'c"\\'], "n": 3}}
WRITTEN = """\
[model_providers.aibridge]
name = "AI Bridge"
flag = false

[model_providers.aibridge.auth]
args = ["a b", "c\\"\\\\"]
n = 3
"""


def test_a_table_is_added_at_the_end():
    assert set_table("", NAME, TABLE) == WRITTEN
    text = "# mine\nmodel = 'x'  # best\n\n[tui]\na=1"
    assert set_table(text, NAME, TABLE) == f"{text}\n\n{WRITTEN}"


def test_a_table_is_replaced_with_all_below_it_and_nothing_else():
    text = (
        "model = 'x'\n\n"
        "[model_providers.aibridge]\nname = 'old'\n# of the old one\nenv_key = 'T'\n\n"
        "# about the other one\n[model_providers.other]\nname = 'o'   # o\n\n"
        "[ model_providers . aibridge . auth ]\ncommand = 'old'\n\n# the end\n"
    )
    assert set_table(text, NAME, TABLE) == (
        f"model = 'x'\n\n{WRITTEN}\n"
        "# about the other one\n[model_providers.other]\nname = 'o'   # o\n\n\n# the end\n"
    )


def test_a_quoted_name_is_the_same():
    text = '[model_providers."aibridge"]\nname = "old"\n'
    assert set_table(text, NAME, TABLE) == WRITTEN


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", 'key = "v"\n'),
        ("a = 1\n", 'a = 1\nkey = "v"\n'),
        ("a = 1", 'a = 1\nkey = "v"\n'),
        ("[t]\nkey = 'x'\n", "key = \"v\"\n\n[t]\nkey = 'x'\n"),
        ("# mine\n\n[t]\n", 'key = "v"\n\n# mine\n\n[t]\n'),
        ("a = 1\n\n# about t\n[t]\n", 'a = 1\nkey = "v"\n\n# about t\n[t]\n'),
        ("key='x'# why\n[t]\n", 'key="v"# why\n[t]\n'),
        ('  key = "old" \nb = 2\n', '  key = "v" \nb = 2\n'),
        ("a = 1\r\n", 'a = 1\r\nkey = "v"\r\n'),
    ],
)
def test_a_value_is_set_in_the_first_section(text, made):
    assert set_value(text, "key", "v") == made


@pytest.mark.parametrize(
    "text",
    [
        "key = '''\nx'''\n",
        "key = 7\n",
        '"key" = "x"\n',
        's = """\nkey = "x"\n"""\n',
        "a = [\n[1],\n]\n[t]\n" + "key",
    ],
)
def test_a_value_that_cannot_be_set_safely_is_not(text):
    with pytest.raises(UneditableError):
        set_value(text, "key", "v")


@pytest.mark.parametrize(
    "text",
    [
        "model_providers.aibridge.name = 'x'\n",
        "[model_providers]\naibridge = {name = 'x'}\n",
        "model_providers = 1\n",
        's = """\n[model_providers.aibridge]\n"""\n',
        "not TOML",
        "a = 1\na = 2\n",
    ],
)
def test_a_table_that_cannot_be_set_safely_is_not(text):
    with pytest.raises(UneditableError):
        set_table(text, NAME, TABLE)


def test_what_is_written_is_what_was_meant():
    assert tomllib.loads(WRITTEN) == {"model_providers": {"aibridge": TABLE}}
    assert set_table(WRITTEN, NAME, TABLE) == WRITTEN
