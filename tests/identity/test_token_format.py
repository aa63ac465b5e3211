import hashlib
import re
import string

import pytest

from aibridged.identity import token_format

SECRET = (string.ascii_letters + string.digits)[:43]
TOKEN = f"aib_0123456789_{SECRET}"


def test_a_new_token_is_one_word_with_256_random_bits():
    tokens = {token_format.mint().text for _ in range(200)}
    assert len(tokens) == 200
    for token in tokens:
        assert re.fullmatch(r"aib_[0-9a-z]{10}_[0-9A-Za-z]{43}", token)
    assert 62**43 > 2**256
    seen = set("".join(token.rpartition("_")[2] for token in tokens))
    assert seen == set(string.ascii_letters + string.digits)


def test_a_token_is_taken_apart_as_it_was_put_together():
    minted = token_format.mint()
    assert token_format.parse(minted.text) == minted


def test_only_the_secret_is_hashed():
    parts = token_format.parse(TOKEN)
    assert parts.id == "0123456789"
    assert parts.digest() == hashlib.sha256(SECRET.encode()).digest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aib",
        TOKEN[:-1],
        TOKEN + "a",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.upper(),
        TOKEN.replace("aib_", "aib-"),
        TOKEN.replace("0123456789", "012345678_"),
        TOKEN.replace("0123456789", "012345678A"),
        TOKEN.replace("0123456789", "٠١٢٣٤٥٦٧٨٩"),
        TOKEN[:-1] + "_",
        TOKEN[:-1] + "é",
        "sk-ant-api03-" + SECRET,
    ],
)
def test_what_is_no_token_of_ours_has_no_parts(text):
    assert token_format.parse(text) is None


def test_the_secret_does_not_show():
    assert SECRET not in repr(token_format.parse(TOKEN))


def test_successors_follow_from_the_secret_and_the_salt():
    parent = token_format.mint("air")
    bearer = token_format.derive(parent, b"salt", "aib")
    refresh = token_format.derive(parent, b"salt", "air")
    for made in (bearer, refresh):
        assert token_format.parse(made.text, made.prefix) == made
        assert token_format.derive(parent, b"salt", made.prefix) == made
        assert token_format.derive(parent, b"pepper", made.prefix).secret != made.secret
    assert token_format.derive(token_format.mint("air"), b"salt", "aib").secret != bearer.secret
    assert len({parent.secret, bearer.secret, refresh.secret}) == 3
    assert token_format.parse(bearer.text, "air") is None
    assert token_format.parse(refresh.text) is None
