"""Files of users: what is read, and what each wrong line is told."""

import pytest

from aibridged.identity import user_csv
from aibridged.identity.user_csv import FaultyLinesError, Line, read_users
from aibridged.identity.users import IdentityError, UserEdit

HEADER = "username,name,email,admin,groups\n"


def faults(text):
    with pytest.raises(FaultyLinesError) as caught:
        read_users(text.encode())
    return caught.value.faults


def test_a_file_as_a_spreadsheet_writes_it():
    content = "\ufeff" + (
        HEADER + 'ann,"Ann, A.",ann@example.com,TRUE,staff; ops;staff\n\nbob,,,,\n'
    )
    assert read_users(content.replace("\n", "\r\n").encode()) == [
        Line(2, "ann", UserEdit(None, "Ann, A.", "ann@example.com", True, ("staff", "ops"))),
        Line(4, "bob", UserEdit(None, "", "", False, ())),
    ]


def test_columns_that_are_left_out_change_nothing():
    assert read_users(b"Email, Username\n,ann") == [Line(2, "ann", UserEdit(email=""))]
    assert read_users(b"username\n") == []


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "there is no column username"),
        ("name,email", "there is no column username"),
        ("username;name", "the column 'username;name' is unknown"),
        ("username,password", "the column 'password' is unknown"),
        ("username,name,name", "the column 'name' is there twice"),
    ],
)
def test_a_header_that_is_not_one(header, said):
    [(number, what)] = faults(f"{header}\nann,x\n")
    assert (number, said in what) == (1, True)
    assert "the header is username,name,email,admin,groups" in what


def test_every_wrong_line_is_told_with_its_number():
    found = faults(
        HEADER
        + "ann,A,,,\n"
        + "Bob Smith,,,,\n"
        + '"eve","two\nlines",,,\n'
        + "zoe,,,perhaps,\n"
        + "dan,,\n"
        + "ann,,,,\n"
        + f"kim,,,,{'g' * 129}\n"
    )
    assert [number for number, _ in found] == [3, 4, 6, 7, 8, 9]
    said = [what for _, what in found]
    assert "such as bob-smith" in said[0]
    assert "name must be one line" in said[1]
    assert said[2] == "admin is 'perhaps': write true or false."
    assert said[3] == "it has 3 cells, and the header 5."
    assert said[4] == "ann is in line 2 already."
    assert "group's name" in said[5]


def test_of_many_wrong_lines_the_first_are_shown():
    with pytest.raises(FaultyLinesError) as caught:
        read_users((HEADER + "A B,,,,\n" * 100).encode())
    shown = str(caught.value).splitlines()
    assert len(shown) == 22
    assert shown[-2:] == ["And 80 more.", "Nothing was changed."]


def test_a_quote_that_is_never_closed_is_a_wrong_line():
    [(number, what)] = faults(HEADER + 'ann,"A,,,\n')
    assert (number, what.startswith("not CSV")) == (2, True)


def test_files_are_bounded(monkeypatch):
    with pytest.raises(IdentityError, match="more than 1024 KiB: split it"):
        read_users(b"x" * (user_csv.MAX_BYTES + 1))
    with pytest.raises(IdentityError, match="not UTF-8"):
        read_users(b"\xff\xfe")
    monkeypatch.setattr(user_csv, "MAX_USERS", 2)
    with pytest.raises(IdentityError, match="at most 2 users"):
        read_users(b"username\nann\nbob\neve\n")
