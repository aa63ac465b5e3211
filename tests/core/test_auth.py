import itertools

import pytest
from multidict import CIMultiDict

from aibridged.core.auth import (
    ByokDisabledError,
    CredentialKind,
    MalformedCredentialsError,
    OwnKeyRequiredError,
    UpstreamCredential,
    is_from_helper,
    read_credentials,
    sent_secrets,
    upstream_credential,
    why_refused,
    without_tokens,
)


def read(*headers):
    return read_credentials(CIMultiDict(headers))


CODER = ("X-Coder-Token", "gw-coder")
BEARER = ("Authorization", "Bearer gw-bearer")
KEY = ("X-Api-Key", "gw-key")
SESSION = ("Coder-Session-Token", "gw-session")
ANOTHER = f"aib_{'0a' * 5}_{'s3cre' * 8}t00"


@pytest.mark.parametrize(
    ("headers", "token", "own"),
    [
        ([], None, {}),
        ([CODER], "gw-coder", {}),
        ([BEARER], "gw-bearer", {}),
        ([KEY], "gw-key", {}),
        ([BEARER, KEY], "gw-bearer", {}),
        ([SESSION], "gw-session", {}),
        ([KEY, SESSION], "gw-key", {}),
        ([BEARER, KEY, SESSION], "gw-bearer", {}),
        ([CODER, SESSION], "gw-coder", {}),
        ([CODER, BEARER], "gw-coder", {"Authorization": "Bearer gw-bearer"}),
        ([CODER, KEY], "gw-coder", {"X-Api-Key": "gw-key"}),
        (
            [CODER, BEARER, KEY],
            "gw-coder",
            {"Authorization": "Bearer gw-bearer", "X-Api-Key": "gw-key"},
        ),
    ],
)
def test_every_combination_of_the_headers(headers, token, own):
    for order in itertools.permutations(headers):
        presented = read(*order)
        assert (presented.token, presented.own) == (token, own)


@pytest.mark.parametrize("others", [[], [CODER], [BEARER], [KEY], [("Authorization", "Basic x")]])
def test_the_api_of_the_record_takes_a_session_token_before_all_others(others):
    for order in itertools.permutations([SESSION, *others]):
        presented = read_credentials(CIMultiDict(order), session_first=True)
        assert (presented.token, presented.own) == ("gw-session", {})


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer gw-coder"),
        ("Authorization", "bearer  gw-coder "),
        ("Authorization", "gw-coder"),
        ("X-Api-Key", "gw-coder"),
        ("X-Api-Key", " gw-coder"),
        ("Authorization", f"Bearer {ANOTHER}"),
        ("Authorization", f"token  {ANOTHER}"),
        ("X-Api-Key", ANOTHER),
    ],
)
def test_a_gateway_token_is_nobodys_own_key(header):
    presented = read(CODER, header)
    assert (presented.token, presented.own) == ("gw-coder", {})


def test_the_newer_name_of_the_token_header_is_an_alias():
    assert read(("X-Coder-AI-Governance-Token", "t"), BEARER).token == "t"


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer s3cret"), ("authorization", "Bearer s3cret")],
        [("X-Api-Key", "s3cret"), ("x-api-key", "s3cret")],
        [("X-Coder-Token", "s3cret"), ("X-Coder-Token", "s3cret")],
        [("X-Coder-Token", "s3cret"), ("X-Coder-AI-Governance-Token", "s3cret")],
        [("X-Coder-Token", "s3cret"), ("X-Api-Key", "s3cret"), ("X-Api-Key", "s3cret")],
        [("Coder-Session-Token", "s3cret"), ("coder-session-token", "s3cret")],
        [("Coder-Session-Token", "s3cret s3cret")],
        [("Coder-Session-Token", "")],
        [("Authorization", "Basic s3cret")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearer s3cret s3cret")],
        [("Authorization", "Bearer s3cret, Bearer s3cret")],
        [("Authorization", "s3cret")],
        [("Authorization", "")],
        [("X-Api-Key", " ")],
        [("X-Api-Key", "s3cret s3cret")],
        [("X-Api-Key", "s3crét")],
        [("X-Coder-Token", "s3cret"), ("Authorization", "")],
        [("X-Coder-Token", "s3cret"), ("Authorization", "Bearer s3cr\udcff")],
        [("X-Coder-Token", "s3cret"), ("X-Api-Key", "s3crét")],
    ],
)
def test_doubled_and_malformed_headers_are_refused_without_a_quotation(headers):
    with pytest.raises(
        MalformedCredentialsError, match=r"header|Authorization must|Send only"
    ) as caught:
        read(*headers)
    assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Authorization", "Bearer gw"), ("X-Api-Key", "gw")], True),
        ([BEARER], False),
        ([KEY], False),
        ([], False),
        ([BEARER, KEY], False),
        ([("Authorization", "Bearer gw"), ("X-Api-Key", "gw"), CODER], False),
        ([("Authorization", "Bearer gw"), BEARER, ("X-Api-Key", "gw")], False),
    ],
)
def test_a_helpers_token_comes_in_both_headers(headers, expected):
    for order in itertools.permutations(headers):
        assert is_from_helper(CIMultiDict(order)) is expected


def test_the_scheme_is_case_insensitive():
    assert read(("Authorization", "bearer t")).token == "t"


NONE = UpstreamCredential.of_organisation(None)


def test_nothing_shows_in_a_repr():
    presented = read(CODER, BEARER, KEY)
    chosen = upstream_credential(
        presented.own, allow_byok=True, preferred="X-Api-Key", organisation=NONE
    )
    assert "gw-" not in repr(presented) + repr(chosen)


ORG = UpstreamCredential.of_organisation(("X-Api-Key", "org"))


@pytest.mark.parametrize(
    ("own", "preferred", "expected"),
    [
        ({}, "X-Api-Key", UpstreamCredential(CredentialKind.CENTRALIZED, "X-Api-Key", "org")),
        (
            {"Authorization": "Bearer me"},
            "X-Api-Key",
            UpstreamCredential(CredentialKind.BYOK, "Authorization", "Bearer me"),
        ),
        (
            {"Authorization": "Bearer me", "X-Api-Key": "mine"},
            "X-Api-Key",
            UpstreamCredential(CredentialKind.BYOK, "X-Api-Key", "mine"),
        ),
        (
            {"Authorization": "Bearer me", "X-Api-Key": "mine"},
            "Authorization",
            UpstreamCredential(CredentialKind.BYOK, "Authorization", "Bearer me"),
        ),
        (
            {"X-Api-Key": "mine"},
            "Authorization",
            UpstreamCredential(CredentialKind.BYOK, "X-Api-Key", "mine"),
        ),
    ],
)
def test_which_credential_goes_on(own, preferred, expected):
    assert (
        upstream_credential(own, allow_byok=True, preferred=preferred, organisation=ORG) == expected
    )


def test_nobodys_key_is_no_header():
    assert upstream_credential(
        {}, allow_byok=True, preferred="X-Api-Key", organisation=NONE
    ) == UpstreamCredential(CredentialKind.CENTRALIZED, None, None)


def test_a_credential_as_it_goes_on():
    assert NONE.sent == ()
    assert NONE.hint == ""
    assert ORG.sent == ((b"X-Api-Key", b"org"),)
    key = UpstreamCredential(
        CredentialKind.BYOK, "Authorization", "Bearer s3cret-of-ann-or-of-ben-\udcff"
    )
    for _ in range(2):
        assert key.sent == ((b"Authorization", b"Bearer s3cret-of-ann-or-of-ben-\xff"),)
        assert key.hint == "s3cr…en-\udcff"
    assert "s3cr" not in repr(key)
    assert key == UpstreamCredential(CredentialKind.BYOK, key.header, key.value)


@pytest.mark.parametrize("end", ["\r", "\n", "\0"])
def test_a_credential_of_two_lines_does_not_go_on(end):
    with pytest.raises(ValueError, match="Authorization header contains a line break") as raised:
        _ = UpstreamCredential(CredentialKind.BYOK, "Authorization", f"s3cret{end}").sent
    assert "s3cret" not in str(raised.value)


def test_own_keys_can_be_forbidden():
    with pytest.raises(ByokDisabledError):
        upstream_credential(
            {"X-Api-Key": "mine"}, allow_byok=False, preferred="X-Api-Key", organisation=ORG
        )
    assert (
        upstream_credential({}, allow_byok=False, preferred="X-Api-Key", organisation=ORG).kind
        is CredentialKind.CENTRALIZED
    )


@pytest.mark.parametrize("own", [{}, {"X-Api-Key": "mine"}])
def test_where_only_an_own_key_will_do_it_must_be_in_the_providers_header(own):
    with pytest.raises(OwnKeyRequiredError):
        upstream_credential(
            own, allow_byok=True, preferred="Authorization", organisation=ORG, own_key_only=True
        )


def test_where_only_an_own_key_will_do_it_goes_on():
    assert upstream_credential(
        {"X-Api-Key": "other", "Authorization": "Bearer me"},
        allow_byok=True,
        preferred="Authorization",
        organisation=NONE,
        own_key_only=True,
    ) == UpstreamCredential(CredentialKind.BYOK, "Authorization", "Bearer me")


GATEWAY_TOKEN = f"aib_{'i' * 10}_{'S' * 43}"


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("coder-session-token-of-ann", b"coder-session-token-of-ann"),
        ("coder-session-token-of-ann", b"key=coder-session-token-of-ann;v=1"),
        (None, GATEWAY_TOKEN.encode()),
        ("another-token-of-a-gateway", b"Bearer " + GATEWAY_TOKEN.encode()),
    ],
)
def test_a_header_of_any_name_that_holds_a_gateway_token_stays_behind(token, value):
    rest = [(b"Api-Version", b"1"), (b"X", b"y")]
    assert without_tokens([rest[0], (b"Api-Key", value), rest[1]], token) == rest


@pytest.mark.parametrize("token", [None, "none", GATEWAY_TOKEN])
def test_headers_without_one_stay_as_they_are(token):
    """A short word is no secret: where nobody is asked for a token, any word is taken for one."""
    headers = [(b"Cache", b"none"), (b"X", b"aib_"), (b"X", b"\xff")]
    assert without_tokens(headers, token) == headers


def test_credentials_are_known_whatever_their_form():
    headers = CIMultiDict(
        [
            ("Authorization", "Basic abc"),
            ("Authorization", "Bearer  x "),
            ("x-api-key", "k y"),
            ("X-Coder-Token", ""),
            ("Coder-Session-Token", "z"),
        ]
    )
    assert sent_secrets(headers) == ("abc", "x", "y", "z")


TOKEN = f"aib_0123456789_{'x' * 43}"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, "No gateway token came with the request: send it as the client's API key"),
        (TOKEN, "The gateway token is not valid: it is unknown, expired or revoked"),
        (f'"{TOKEN}"', "The gateway token has quotes around it: remove them."),
        (TOKEN[:-1], "The gateway token is not whole"),
        (TOKEN.replace("aib_", "air_"), "This is a refresh token, for `aibridged login` alone"),
        (f"{TOKEN}x", "The gateway token is not whole, or something is appended to it"),
        ("sk-ant-api03-secret", "What came as the key is not a gateway token, which begins with"),
    ],
)
def test_why_a_token_is_refused(token, said):
    sentence = why_refused(token, own_tokens=True)
    assert sentence.startswith(said)
    assert token is None or token not in sentence
    # Coder's tokens have no form that is known here.
    elsewhere = why_refused(token, own_tokens=False)
    assert elsewhere.startswith("No gateway token" if token is None else "The gateway token is not")
    assert "aibridged tokens create" not in elsewhere
