import pytest
from multidict import CIMultiDict

from aibridged.core.origins import is_loopback_name, is_of_another_origin

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
