"""What a reload changes at once, what waits for a restart, and what is said of it."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from aibridged.config.declare import Option
from aibridged.config.options import (
    OPTIONS,
    McpServerSettings,
    PolicySettings,
    PriceSettings,
    ProviderSettings,
    Settings,
    TelemetrySettings,
)
from aibridged.config.reloading import change
from aibridged.config.secret import Secret

CLAUDE = ProviderSettings("anthropic", "claude", Secret("one"), "http://one")
LOCAL = ProviderSettings("openai", "local", None, "http://two")
WITH_PROVIDERS = Settings(providers=(CLAUDE, LOCAL))


def test_what_needs_a_restart_is_named_and_the_rest_is_in_force() -> None:
    wanted = replace(Settings(), state_dir=Path("/elsewhere"), rate_limit=7, allow_byok=False)
    result = change(Settings(), wanted)
    assert result.settings == replace(Settings(), rate_limit=7, allow_byok=False)
    assert result.changes == ["--aibridge-allow-byok", "--aibridge-rate-limit"]
    assert [row.name for row in result.waiting] == ["state_dir"]


def test_nothing_new_is_nothing_changed() -> None:
    result = change(WITH_PROVIDERS, WITH_PROVIDERS)
    assert (result.settings, result.changes, result.waiting) == (WITH_PROVIDERS, [], [])


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_setting_changes_or_is_said_to_wait(
    option: Option, samples: Callable[[Option], tuple[str, ...]]
) -> None:
    """Or it is a part of a provider, whose change is told instead."""
    texts = samples(option)
    value = next(
        value
        for value in map(option.kind.parse, texts)
        if value != getattr(Settings(), option.name)
    )
    wanted = replace(Settings(), **{option.name: value})
    result = change(Settings(), wanted)
    if option.restart:
        assert (result.settings, result.changes) == (Settings(), [])
        assert [row.name for row in result.waiting] == [option.name]
    else:
        assert (result.settings, result.waiting) == (wanted, [])
        assert result.changes == ([] if option.name in PARTS_OF_PROVIDERS else [option.flag])


PARTS_OF_PROVIDERS = {"anthropic_base_url", "anthropic_key", "openai_base_url", "openai_key"}


def test_providers_that_come_go_and_change_are_told_apart() -> None:
    rotated = replace(CLAUDE, key=Secret("two"))
    moved = replace(LOCAL, base_url="http://three")
    added = replace(CLAUDE, name="other")
    for providers, told in [
        ((CLAUDE,), ["provider local removed"]),
        ((CLAUDE, LOCAL, added), ["provider other added"]),
        ((rotated, LOCAL), ["the key of provider claude"]),
        ((CLAUDE, moved), ["provider local"]),
        ((rotated, moved), ["the key of provider claude", "provider local"]),
        ((added,), ["provider claude removed", "provider local removed", "provider other added"]),
    ]:
        result = change(WITH_PROVIDERS, replace(WITH_PROVIDERS, providers=providers))
        assert result.changes == told
        assert result.settings.providers == providers


def test_no_key_is_told() -> None:
    rotated = replace(CLAUDE, key=Secret("sk-very-long-and-very-secret-key"))
    result = change(WITH_PROVIDERS, replace(WITH_PROVIDERS, providers=(rotated, LOCAL)))
    assert "sk-" not in str(result.changes)


def test_telemetry_destinations_that_change_are_told_without_their_keys() -> None:
    one = TelemetrySettings("http://one")
    running = Settings(telemetry=(one,))
    keyed = replace(one, headers=(("X-Key", Secret("canary")),))
    for wanted in ((), (keyed,), (one, keyed)):
        result = change(running, replace(running, telemetry=wanted))
        assert result.changes == ["the telemetry destinations"]
        assert result.settings.telemetry == wanted
    assert change(running, running).changes == []


def test_mcp_servers_that_come_go_and_change_are_told_apart() -> None:
    docs, wiki = McpServerSettings("docs", "http://one"), McpServerSettings("wiki", "http://two")
    running = Settings(mcp_servers=(docs, wiki))
    for servers, told in [
        ((docs, wiki), []),
        ((docs,), ["MCP server wiki removed"]),
        ((docs, replace(wiki, token=Secret("sk-new"))), ["MCP server wiki"]),
        ((docs, wiki, replace(docs, id="other")), ["MCP server other added"]),
        ((wiki, docs), ["the order of the MCP servers"]),
    ]:
        result = change(running, replace(running, mcp_servers=servers))
        assert result.changes == told
        assert result.settings.mcp_servers == servers


def test_policies_are_told_of_as_one() -> None:
    running = Settings(policies=(PolicySettings(("staff",)),))
    for policies, told in [
        (running.policies, []),
        ((PolicySettings(("staff",), models=("m",)),), ["the policies"]),
        ((), ["the policies"]),
    ]:
        result = change(running, replace(running, policies=policies))
        assert result.changes == told
        assert result.settings.policies == policies


def test_prices_are_told_of_as_one() -> None:
    running = Settings(prices=(PriceSettings(model="m", input=Decimal(1)),))
    for prices, told in [
        (running.prices, []),
        ((PriceSettings(model="m", input=Decimal(2)),), ["the prices"]),
        ((), ["the prices"]),
    ]:
        result = change(running, replace(running, prices=prices))
        assert result.changes == told
        assert result.settings.prices == prices
