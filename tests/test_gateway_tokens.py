from urllib.parse import quote

import pytest

from aibridged.gateway_tokens import blanked, holds_token, may_hold_token

SECRET = "s3creT" * 7 + "x"
TOKEN = f"aib_0123456789_{SECRET}"
BLANK = "aib_0123456789_***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("aib_ is how they begin", "aib_ is how they begin"),
        ("aib_short_word", "aib_short_word"),
        (TOKEN, BLANK),
        (f"a {TOKEN}, and {TOKEN}!", f"a {BLANK}, and {BLANK}!"),
        (f"x{TOKEN}y", f"x{BLANK}"),
        (f"a {TOKEN.replace('aib_', 'air_')} of a sign-in", "a air_0123456789_*** of a sign-in"),
        (TOKEN[:-1], BLANK),
        (TOKEN[:20], BLANK),
        (f'{{"arguments": "{TOKEN}"}}', f'{{"arguments": "{BLANK}"}}'),
        (f"é{TOKEN}\ud800", f"é{BLANK}\ud800"),
    ],
)
def test_the_secret_of_a_token_is_blanked_and_its_id_stays(text, shown):
    assert blanked(text) == shown
    if text != shown:
        assert may_hold_token(text.encode("utf-8", "surrogatepass"))
    assert blanked(shown) == shown


def test_most_bytes_hold_no_token_at_a_glance():
    assert not may_hold_token(b"said aib and air")


def encoded(text):
    return "".join(f"%{ord(each):02x}" for each in text)


@pytest.mark.parametrize(
    "target",
    [
        f"/anthropic/v1/models?key={TOKEN}",
        f"/{TOKEN}/v1/messages",
        f"/{TOKEN.replace('aib_', 'air_')}/v1/messages",
        f"/anthropic/v1/models/x{TOKEN}x",
        f"/anthropic/v1/models?key={encoded(TOKEN)}",
        f"/anthropic/v1/models?key={TOKEN.replace('_', '%5F')}",
        f"/anthropic/v1/models?key={quote(quote(encoded(TOKEN)))}",
        f"{TOKEN}:443",
    ],
)
def test_a_token_in_a_target_is_found_however_it_is_spelled(target):
    assert holds_token(target)


@pytest.mark.parametrize(
    "target",
    [
        "/anthropic/v1/messages?beta=true",
        "/anthropic/v1/models/caf%C3%A9?q=aib_",
        f"/anthropic/v1/models?key={TOKEN[:-1]}",
        "/anthropic/v1/models?next=%2525252525",
        "/%ff%",
        "",
    ],
)
def test_what_holds_none(target):
    assert not holds_token(target)
