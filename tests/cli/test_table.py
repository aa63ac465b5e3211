from aibridged.cli.table import table


def test_columns_are_aligned_and_nothing_trails():
    rows = [("alice", "1", ""), ("bob", "1000", "x")]
    assert table(("NAME", "N", "NOTE"), rows, cut={"NAME"}) == (
        "NAME   N     NOTE\n"
        "alice  1\n"
        "bob    1000  x"
    )  # fmt: skip


def test_without_rows_there_are_headings():
    assert table(("NAME", "N"), [], cut={"NAME"}) == "NAME  N"


def test_the_widest_of_the_named_columns_are_cut_to_the_width():
    rows = [("0123456789" * 3, "n" * 40, "e" * 60, "short")]
    shown = table(("ID", "NAME", "EMAIL", "ROLE"), rows, cut={"NAME", "EMAIL", "ROLE"}, room=70)
    _, row = shown.splitlines()
    assert len(row) == 70
    assert row.split("  ") == ["0123456789" * 3, "n" * 13 + "…", "e" * 14 + "…", "short"]


def test_what_fits_exactly_is_not_cut():
    shown = table(("A", "B"), [("x" * 4, "y" * 4)], cut={"A", "B"}, room=10)
    assert shown == "A     B\nxxxx  yyyy"


def test_what_cannot_fit_keeps_a_character_a_column():
    assert table(("A", "B"), [("xxx", "yyy")], cut={"A"}, room=1) == "A  B\n…  yyy"
