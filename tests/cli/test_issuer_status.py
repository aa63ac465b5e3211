"""`check-config --connect`: the OpenID Connect provider, discovered or with what is wrong."""

import json
import subprocess
from collections.abc import Callable

from aibridged.cli import issuer_status
from aibridged.config.options import Settings
from aibridged.oidc.probe import IssuerCheck
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProviderProcess

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_it_is_asked_and_what_is_wrong_is_told(
    run: Run, identity_provider: IdentityProviderProcess
) -> None:
    key = "CODER_AIBRIDGE_PROVIDER_0_"
    environ = {
        f"{key}TYPE": "openai",
        f"{key}BASE_URL": f"{identity_provider.issuer}/no-models",
        "CODER_OIDC_ISSUER_URL": identity_provider.issuer,
        "CODER_OIDC_CLIENT_ID": CLIENT_ID,
        "CODER_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "CODER_ACCESS_URL": "http://localhost:4001",
    }
    shown = run("check-config", "--connect", environ=environ)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.endswith(
        "\n\nOpenID Connect provider\n"
        f"  {identity_provider.issuer}: discovered, with 1 key\n"
        "    Its redirect URI for the gateway: http://localhost:4001/oauth/callback\n"
    )
    identity_provider.fail(answers={"jwks": {"status": 500}})
    shown = run("check-config", "--connect", "-o", "json", environ=environ)
    assert (shown.returncode, shown.stderr) == (1, "")
    found = json.loads(shown.stdout)["identity_provider"]
    assert found["reachable"] is False
    assert "jwks_uri responded with status 500" in found["error"]


def test_without_an_issuer_nothing_is_asked() -> None:
    assert issuer_status.reach(Settings()) is None
    assert issuer_status.as_data(None) is None


def test_everything_fits_a_terminal() -> None:
    notes = ("It does not list a, b of --oidc-scopes.", "word " * 40)
    for error in (None, "word " * 40):
        check = IssuerCheck("https://id.example.com", error, 2, notes)
        text = issuer_status.as_text(check, "https://gateway.example.com")
        assert max(map(len, text.splitlines())) <= 80
        assert ("FAILED" in text) == (error is not None)
