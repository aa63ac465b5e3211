"""A file that `coder server` wrote: what says nothing passes, what asks for something doesn't."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]
OWN = ("ai_gateway", "inject_", "proxy.api_dump_dir")
WRITTEN = (Path(__file__).parent / "coder-server.yaml").read_text(encoding="utf-8")


def test_a_file_that_coder_wrote_loads(resolve: Resolve) -> None:
    resolution = resolve(yaml=WRITTEN)
    assert resolution.mistakes == []
    settings = resolution.settings
    assert settings is not None
    assert (settings.http_address.port, settings.retention) == (3000, 60 * 86400)
    assert settings.proxy_listen_addr.port == 8888


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("    enable: false\n    redirectHTTP", "    enable: true\n    redirectHTTP", "tls.enable"),
        ("certFiles: []", "certFiles: [/cert.pem]", "networking.tls.certFiles"),
        ("  iconURL:", "  iconURL: https://id/icon", "oidc.iconURL"),
        ("daemons: 3", "daemons: 4", "provisioning.daemons"),
        ("supportLinks: []", "supportLinks: [{name: x}]", "supportLinks"),
        ('bedrock_region: ""', "bedrock_region: us-east-1", "ai_gateway.bedrock_region"),
        ("inject_coder_mcp_tools: false", "inject_coder_mcp_tools: true", "inject_coder_mcp_tools"),
        ("    - api.anthropic.com\n", "", "ai_gateway_proxy.domain_allowlist"),
        ("budget_period: month", "budget_period: week", "ai_gateway.budget_period"),
        ('  api_dump_dir: ""\nretention', "  api_dump_dir: /d\nretention", "proxy.api_dump_dir"),
    ],
)
def test_what_asks_for_something_is_a_mistake(
    old: str, new: str, key: str, resolve: Resolve
) -> None:
    text = WRITTEN.replace(old, new, 1)
    assert text != WRITTEN
    [mistake] = resolve(yaml=text).mistakes
    assert mistake.where.endswith(key)
    assert mistake.what == "not supported by aibridged"
    assert mistake.remedy.startswith("Remove it")
    assert mistake.remedy.endswith("another part of Coder.") == (not key.startswith(OWN))


def test_what_a_later_version_adds_to_a_group_of_coders_passes_while_it_is_off(
    resolve: Resolve,
) -> None:
    for text in ("client:\n  brandNew: false\n", "oidc:\n  brandNew: []\n  other: {}\n"):
        assert resolve(yaml=text).mistakes == []


@pytest.mark.parametrize(
    "text",
    [
        "brandNew: false\n",
        "networking:\n  brandNew: false\n",
        "networking:\n  http:\n    htpAddress: ''\n",
        "aibridge:\n  brand_new: false\n",
        "aibridgeproxy:\n  inject_coder_mcp_tools: false\n",
        "brandNew: {}\n",
    ],
)
def test_misspelled_entries_are_mistakes_even_where_they_are_off(
    text: str, resolve: Resolve
) -> None:
    [mistake] = resolve(yaml=text).mistakes
    assert "unknown setting" in mistake.what or "not supported" in mistake.what


def test_names_that_coder_once_wrote_in_camel_case(resolve: Resolve) -> None:
    text = "aibridge:\n  rateLimit: 7\n  circuitBreakerFailureThreshold: 9\n"
    resolution = resolve(yaml=text)
    assert resolution.settings is not None
    assert resolution.settings.rate_limit == 7
    assert resolution.settings.circuit_breaker_failure_threshold == 9
    [mistake] = resolve(yaml=f"{text}  rate_limit: 7\n").mistakes
    assert mistake.what == "two names of the same setting"
    assert len(resolve(yaml="networking:\n  http:\n    http_address: x\n").mistakes) == 1
