"""Issuers at which anybody can have an account."""

import pytest

from aibridged.config import public_issuers

_ENTRA = "https://login.microsoftonline.com"
_TENANT = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("issuer", "owner"),
    [
        ("https://accounts.google.com", "Google"),
        ("https://accounts.google.com/", "Google"),
        ("https://github.com/login/oauth", "GitHub"),
        ("https://token.actions.githubusercontent.com", "GitHub"),
        (f"{_ENTRA}/consumers/v2.0", "Microsoft"),
        (f"{_ENTRA}/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", "Microsoft"),
        (f"{_ENTRA}/{_TENANT}/v2.0", None),
        ("https://id.example.com/consumers", None),
        ("https://company.okta.com", None),
        ("https://accounts.google.com.evil.com", None),
    ],
)
def test_whose_accounts_anybody_can_have(issuer: str, owner: str | None) -> None:
    assert public_issuers.owner(issuer) == owner


@pytest.mark.parametrize(
    ("issuer", "is_of_none"),
    [
        (f"{_ENTRA}/common/v2.0", True),
        (f"{_ENTRA}/Organizations/v2.0", True),
        (f"{_ENTRA}/{_TENANT}/v2.0", False),
        ("https://id.example.com/common", False),
    ],
)
def test_what_stands_for_all_tenants(issuer: str, is_of_none: bool) -> None:
    assert public_issuers.is_of_no_tenant(issuer) == is_of_none
