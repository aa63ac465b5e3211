"""The pages: what they may load and where they lead, and that they show texts as texts."""

import re
from datetime import timedelta

import pytest
from yarl import URL

from aibridged.identity.device_codes import Waiting
from aibridged.sign_in.cookies import Cookie
from aibridged.sign_in.pages import PageError, Pages

NASTY = '"><script>alert(1)</script>'


@pytest.fixture
def pages():
    return Pages(URL("https://ai.example.com/gateway"), NASTY, is_secure=True)


@pytest.fixture
def waiting(clock):
    return Waiting("BCDF-GHJK", "claude-code/2.1.332", "10.0.0.1", clock.wall())


def text(response):
    return response.body.decode()


def test_every_page_is_confined(pages, waiting, clock):
    made = [
        pages.enter(),
        pages.question(waiting, clock.wall(), None, "https://id.example.com"),
        pages.message("Title", "Text."),
        pages.error(PageError(503, "Title", "Text.", retry_after=5)),
    ]
    for response in made:
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        for part in ("base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"):
            assert part in policy
        assert "unsafe" not in policy
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script" not in text(response)
        assert not re.search(r'(src|href)="(?!/gateway/device")', text(response))
        assert '<html lang="en">' in text(response)
    leads = [r.headers["Content-Security-Policy"].rpartition("form-action ")[2] for r in made]
    assert leads == ["'self'", "'self' https://id.example.com https:", "'self'", "'self'"]
    assert made[3].status == 503
    assert made[3].headers["Retry-After"] == "5"


def test_texts_are_escaped(pages, waiting, clock):
    made = [
        pages.enter(typed=NASTY, error=NASTY),
        pages.question(waiting, clock.wall(), NASTY, "https://id.example.com"),
        pages.message(NASTY, NASTY),
    ]
    for response in made:
        assert "&gt;&lt;script&gt;" in text(response)
        assert "<script" not in text(response)


@pytest.mark.parametrize(
    ("client", "shown"),
    [
        ("claude-code/2.1.332", "Claude Code 2.1.332"),
        ("claude-code", "Claude Code"),
        ("aibridged-login", "aibridged login"),
        ("Your-IT-department/1", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_program_is_named_if_it_is_known(pages, clock, client, shown):
    waiting = Waiting("BCDF-GHJK", client, "10.0.0.1", clock.wall())
    page = text(pages.question(waiting, clock.wall(), None, ""))
    assert f"<dd>{shown}</dd>" in page
    assert "IT-department" not in page


def test_the_age_of_the_request_is_told(pages, waiting, clock):
    now = clock.wall()
    assert "just now" in text(pages.question(waiting, now, None, ""))
    later = now + timedelta(seconds=185)
    assert "3 min ago" in text(pages.question(waiting, later, None, ""))


@pytest.mark.parametrize("is_secure", [True, False])
def test_cookies_are_for_the_browser_alone(is_secure):
    pages = Pages(URL("http://127.0.0.1:1"), "x", is_secure=is_secure)
    response = pages.leave("https://id.example.com/?a=1", [Cookie("n", "v", 60), Cookie("gone")])
    assert response.status == 303
    assert response.headers["Location"] == "https://id.example.com/?a=1"
    assert response.headers["Cache-Control"] == "no-store"
    cookie, gone = (morsel.OutputString() for morsel in response.cookies.values())
    for each in (cookie, gone):
        assert "HttpOnly" in each
        assert "Path=/" in each
        assert "SameSite=Lax" in each
        assert "Domain" not in each
        assert ("Secure" in each) is is_secure
    assert "Max-Age=60" in cookie
    assert "Max-Age=0" in gone


def luminance(colour):
    """WCAG 2.2, relative luminance."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_told_apart(pages):
    style = re.search(r"(?s)<style>(.*)</style>", text(pages.enter()))[1]
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in style.split("@media")
    )
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        for fore in ("text", "quiet", "accent", "bad"):
            assert contrast(colours[fore], colours["card"]) >= 4.5, fore
        assert contrast(colours["text"], colours["code"]) >= 4.5
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
        assert contrast(colours["line"], colours["card"]) >= 3
