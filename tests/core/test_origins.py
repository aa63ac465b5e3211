import pytest
from multidict import CIMultiDict

from aibridged.core.origins import (
    is_loopback_name,
    is_of_another_origin,
    is_opened_by_a_person,
    is_own_form,
)

LOOPBACK = [
    "localhost",
    "localhost:4001",
    "LocalHost:80",
    "localhost.",
    "gateway.localhost:4001",
    "127.0.0.1",
    "127.0.0.1:4001",
    "127.255.0.9",
    "[::1]",
    "[::1]:4001",
]
FOREIGN = [
    "",
    "evil.example",
    "evil.example:4001",
    "localhost.evil.example",
    "evil-localhost",
    "notlocalhost",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "evil.example#localhost",
    "127.0.0.1:4001:4001",
    "localhost:",
    "localhost:x",
    "localhost:999999",
    "128.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "127.1",
    "0x7f.0.0.1",
    "127.0.0.01",
    "2130706433",
    "[::]",
    "[::1",
    "::1",
    "[::ffff:10.0.0.1]",
    "[fe80::1]",
    "localhost evil.example",
    "localhost,evil.example",
    "ｌocalhost",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_names_of_this_machine(host):
    assert is_loopback_name(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_names_that_may_be_another_machine(host):
    assert not is_loopback_name(host)


@pytest.mark.parametrize(
    ("origins", "sites", "foreign"),
    [
        ([], [], False),
        ([], ["none"], False),
        ([], ["same-origin"], False),
        (["http://localhost:4001"], ["same-origin"], False),
        (["https://localhost:4001"], [], False),
        (["HTTP://LOCALHOST:4001"], [], False),
        ([], ["cross-site"], True),
        ([], ["same-site"], True),
        ([], ["Same-Origin"], True),
        ([], [""], True),
        ([], ["none", "cross-site"], True),
        (["http://localhost:4001"], ["cross-site"], True),
        (["http://localhost:3000"], [], True),
        (["http://localhost"], [], True),
        (["http://127.0.0.1:4001"], [], True),
        (["https://evil.example"], [], True),
        (["null"], [], True),
        ([""], [], True),
        (["vscode-file://vscode-app"], [], True),
        (["http://localhost:4001", "https://evil.example"], [], True),
        (["http://localhost:4001.evil.example"], [], True),
    ],
)
def test_what_comes_from_a_page_of_another_origin(origins, sites, foreign):
    headers = CIMultiDict(
        [
            ("Host", "localhost:4001"),
            *(("Origin", origin) for origin in origins),
            *(("Sec-Fetch-Site", site) for site in sites),
        ]
    )
    assert is_of_another_origin(headers) is foreign


def test_without_a_host_every_origin_is_another():
    assert is_of_another_origin(CIMultiDict(Origin="http://localhost:4001"))


OWN = "https://ai.example.com"


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": OWN}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": OWN}, True),
        ({"Origin": "https://AI.example.com"}, True),
        ({}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://evil.example.com"}, False),
        ({"Origin": "http://ai.example.com"}, False),
        ({"Origin": f"{OWN}:8443"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": OWN}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": OWN}, False),
        ({"Sec-Fetch-Site": "none", "Origin": OWN}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example.com"}, False),
    ],
)
def test_whose_form_it_is(headers, is_own):
    assert is_own_form(CIMultiDict(headers), OWN) is is_own


@pytest.mark.parametrize(
    ("headers", "is_opened"),
    [
        ({}, True),
        ({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, True),
        ({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, False),
        ({"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, False),
    ],
)
def test_what_is_loaded_into_a_tab(headers, is_opened):
    assert is_opened_by_a_person(CIMultiDict(headers)) is is_opened
