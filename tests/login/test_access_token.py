"""`aibridged access-token`: a bearer on standard output, and nothing else anywhere."""

from dataclasses import replace

import pytest

from aibridged.login.failure import SignedOutError
from tests.login.conftest import secret


def test_it_is_printed_alone(command, stored, capsys):
    stored()
    command("access-token")
    assert capsys.readouterr() == (f"{secret(0)}\n", "")


def test_the_gateway_is_that_of_the_flag_then_of_the_variable(command, terminal, stored, capsys):
    first = stored()
    stored(url="https://other.example", access_token=secret(5))
    command("access-token", at=replace(terminal, environ={"AIBRIDGED_URL": f"{first.url}/"}))
    assert capsys.readouterr().out == f"{secret(0)}\n"
    elsewhere = replace(terminal, environ={"AIBRIDGED_URL": "https://nowhere.example"})
    command("access-token", "--url", "other.example", at=elsewhere)
    assert capsys.readouterr().out == f"{secret(5)}\n"
    with pytest.raises(SignedOutError, match=r"nowhere\.example"):
        command("access-token", at=elsewhere)
