"""What people put where a key belongs is named, and not quoted."""

import random
import string

import pytest

from aibridged.config.key_mistakes import WrongTextError, file_text, holds_reference, key_text

KEY = "sk-ant-api03-canary0123456789abcdefghijklmnop"
MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

WRONG = [
    (f'"{KEY}"', "has quotes around it", "Remove them."),
    (f"'{KEY}'", "has quotes around it", "Remove them."),
    (f"“{KEY}”", "has quotes around it", "Remove them."),
    (f"{KEY}'", "has quotes around it", "Remove them."),
    (f"ANTHROPIC_API_KEY={KEY}", "is NAME=VALUE", "Keep only what follows ="),
    (f"export OPENAI_API_KEY={KEY}", "is NAME=VALUE", "Keep only what follows ="),
    (f'API_KEY="{KEY}"', "is NAME=VALUE", "Keep only what follows ="),
    (f"api_key: {KEY}", "is NAME:VALUE", "Keep only what follows :"),
    (f"Bearer {KEY}", "begins with 'Bearer'", "Keep only what follows it."),
    (f"Authorization: Bearer {KEY}", "begins with 'Bearer'", "Keep only what follows it."),
    (f"x-api-key: {KEY}", "begins with 'x-api-key'", "Keep only what follows it."),
    (f'{{"key": "{KEY}"}}', "is JSON", "Keep only the key"),
    (f"# mine\n{KEY}\n", "has 2 lines", "Keep only the key."),
    ("-----BEGIN PRIVATE KEY-----\ncanary\n-----END", "(PEM)", "Give the API key."),
    ("${ANTHROPIC_API_KEY}", "is a reference", "Set it to the key itself"),
    ("$ANTHROPIC_API_KEY", "is a reference", "Set it to the key itself"),
    ("$(cat canary)", "is a reference", "Set it to the key itself"),
    ("{{ canary }}", "is a reference", "Set it to the key itself"),
    ("%CANARY%", "is a reference", "Set it to the key itself"),
    ("sk-ant-REPLACE-ME", "is a placeholder", "Set it to the whole key."),
    ("changeme", "is a placeholder", "Set it to the whole key."),
    ("<your key>", "is a placeholder", "Set it to the whole key."),
    ("your-api-key", "is a placeholder", "Set it to the whole key."),
    ("sk-…", "is a placeholder, or shortened", "Set it to the whole key."),
    ("sk-ant-...", "is a placeholder, or shortened", "Set it to the whole key."),
    (f"aib_0123456789_{'canary7' * 6}x", "is a gateway token", "Set it to the key"),
    ("/run/secrets/canary-key", "is a path, and not a key", "Set the variable with _FILE"),
    ("~/canary", "is a path, and not a key", "Set the variable with _FILE"),
    ("sk-xxxxxxxx", "is a placeholder", "Set it to the whole key."),
    (f"{KEY} {KEY}", "contains a space", "Copy the key again"),
    (f"{KEY}\N{NO-BREAK SPACE}x", "contains a character", "Copy the key again"),
]


@pytest.mark.parametrize(("text", "what", "remedy"), WRONG)
def test_what_is_no_key(text: str, what: str, remedy: str) -> None:
    with pytest.raises(WrongTextError) as told:
        key_text(text)
    assert what in str(told.value)
    assert told.value.remedy.startswith(remedy)
    assert "canary" not in f"{told.value} {told.value.remedy}".lower()


@pytest.mark.parametrize("text", [KEY, f" {KEY}\n", f"{MARK}{KEY}\r\n", f"\t{KEY}"])
def test_what_is_around_a_key_is_trimmed(text: str) -> None:
    assert key_text(text) == KEY


def test_a_real_key_is_never_taken_for_a_mistake() -> None:
    dice = random.Random(7)
    alphabet = string.ascii_letters + string.digits + "-_+/"
    for _ in range(5000):
        key = "".join(dice.choices(alphabet, k=100)) + dice.choice(("", "=", "=="))
        assert key_text(key) == key
    assert key_text("api-key-of-the-organisation==") == "api-key-of-the-organisation=="


def test_the_text_of_a_file() -> None:
    assert file_text(b"\xef\xbb\xbfa") == "a"
    for content in ("a".encode("utf-16"), "a".encode("utf-16-be")):
        with pytest.raises(WrongTextError, match="UTF-16"):
            file_text(content)
    with pytest.raises(WrongTextError, match="is not UTF-8 text"):
        file_text(b"\xff")


def test_a_reference_in_any_value() -> None:
    assert holds_reference("https://${HOST}/v1")
    assert holds_reference("https://${HOST:-x}/v1")
    assert not holds_reference("a$b{c}$")
