"""Sentences become mdoc(7)."""

import pytest

from tools.manual import mdoc


@pytest.mark.parametrize(
    ("sentence", "lines"),
    [
        ("Plain words.", ["Plain words."]),
        ("One ends. Another begins.", ["One ends.", "Another begins."]),
        ("See `aibridged-users(1)`.", ["See", ".Xr aibridged-users 1 ."]),
        ("Give `--user NAME`, please.", ["Give", r".Fl \-user Ar NAME ,", "please."]),
        ("Write `--auth none`.", ["Write", r".Fl \-auth Cm none ."]),
        ("With `-c` only.", ["With", ".Fl c", "only."]),
        ("It is in `CODER_URL`.", ["It is in", ".Ev CODER_URL ."]),
        ("(`CODER_URL`, default `10s`)", [".Ev ( CODER_URL ,", "default", ".Cm 10s )"]),
        ("Send `SIGHUP`.", ["Send", ".Dv SIGHUP ."]),
        ("In `/etc/passwd` and `~/x`.", ["In", ".Pa /etc/passwd", "and", r".Pa \(ti/x ."]),
        ("Run `aibridged db check` first.", ["Run", '.Ic "aibridged db check"', "first."]),
        ("Type `coder server`.", ["Type", '.Ql "coder server" .']),
        ("The `KEY`'s file.", ["The", r".Ar KEY Ns No \(aqs", "file."]),
        ("An un`known` one.", ["An", ".No un Ns Cm known", "one."]),
        ("Set --user.", ["Set", r".Fl \-user ."]),
        ("Of the X-Api-Key header.", ["Of the", r".Cm X\-Api\-Key", "header."]),
        (".start and 'quote'", [r"\&.start and 'quote'"]),
        ("A\\B × C", [r"A\eB \[u00D7] C"]),
    ],
)
def test_sentences(sentence: str, lines: list[str]) -> None:
    assert list(mdoc.sentences(sentence)) == lines


def test_long_text_is_broken_between_words() -> None:
    lines = list(mdoc.sentences("word " * 40 + "."))
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("word", "word"),
        ("two words", '"two words"'),
        ("", '""'),
        ("a-b", r"a\-b"),
        ('say "x"', r'"say \(dqx\(dq"'),
        ("Ar", r"\&Ar"),
        (".", r"\&."),
        ("^`~'", r"\(ha\(ga\(ti\(aq"),
    ],
)
def test_arguments_are_taken_for_nothing_else(text: str, argument: str) -> None:
    assert mdoc.argument(text) == argument


def test_what_is_typed_stays_as_it_is() -> None:
    assert list(mdoc.display(".a\n  -b 'c'\n")) == [
        ".Bd -literal -offset indent",
        r"\&.a",
        r"  \-b \(aqc\(aq",
        ".Ed",
    ]


def test_an_empty_section_is_left_out() -> None:
    assert list(mdoc.section("FILES", mdoc.listing([]))) == []
    assert list(mdoc.section("NOTES", mdoc.paragraph("Yes."))) == [".Sh NOTES", "Yes."]
