"""What is printed from the table is whole, and can be used."""

import re
from collections.abc import Callable

from aibridged.config import render
from aibridged.config.options import OPTIONS
from aibridged.config.providers import COPILOT_PLANS
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]


def test_the_sample_changes_nothing(resolve: Resolve) -> None:
    resolution = resolve(yaml=render.sample_yaml())
    assert resolution == resolve()
    assert resolution.mistakes == []


def test_the_sample_holds_every_setting_with_its_default(resolve: Resolve) -> None:
    enabled = re.sub(
        r"^( *)#(?! )(?!providers|mcp_servers:|policies:)(?=\w)",
        r"\1",
        render.sample_yaml(),
        flags=re.M,
    )
    resolution = resolve(yaml=enabled)
    assert resolution.mistakes == []
    from_file = {value.name: value for value in resolution.values if value.source.kind == "file"}
    assert from_file.keys() == {option.name for option in OPTIONS if option.yaml}
    for value in resolve().values:
        if value.name in from_file:
            assert from_file[value.name].text == value.text


def test_the_samples_lists_can_be_used(resolve: Resolve) -> None:
    sample = render.sample_yaml()
    enabled = re.sub(
        r"^( *)#(?=providers|mcp_servers:|policies:|telemetry:|prices:|  )",
        r"\1",
        sample,
        flags=re.M,
    )
    of_provider, of_server, of_telemetry = resolve(yaml=enabled).mistakes  # the files aren't there
    assert "/run/credentials/aibridged.service/aibridged_local-key" in of_provider.where
    assert "/run/credentials/aibridged.service/aibridged_docs-token" in of_server.where
    assert "/run/credentials/aibridged.service/aibridged_otlp" in of_telemetry.where


def test_the_sample_names_the_providers_that_need_no_list() -> None:
    words = " ".join(render.sample_yaml().replace("#", " ").split())
    [listed] = re.findall(r"there without a list: ([a-z, -]+)\.", words)
    assert re.split(r", | and ", listed) == [
        "anthropic",
        "openai",
        *(plan.name for plan in COPILOT_PLANS),
    ]


def test_the_sample_fits_a_terminal_and_names_the_variables() -> None:
    sample = render.sample_yaml()
    assert max(map(len, sample.splitlines())) <= 80
    for option in OPTIONS:
        assert option.secret or f"({option.env})" in sample


def test_the_table_has_every_setting() -> None:
    table = render.markdown_table()
    for option in OPTIONS:
        assert f"| `{option.flag}`<br>`{option.env}`" in table
        assert option.yaml is None or f"<br>`{option.yaml}`" in table
    assert {line.count("|") - line.count("\\|") for line in table.splitlines()} == {4}


def test_help_has_a_heading_for_every_setting() -> None:
    assert [option for _, options in render.grouped() for option in options] == list(OPTIONS)


def test_the_sample_says_what_a_reload_does_not_change() -> None:
    words = " ".join(render.sample_yaml().replace("#", " ").split())
    for option in OPTIONS:
        if option.yaml:
            assert (f"({option.env}) A change requires a restart." in words) == option.restart


def test_facts_name_the_variable_and_the_default() -> None:
    rows = {option.name: render.facts(option) for option in OPTIONS}
    assert rows["rate_limit"] == "CODER_AIBRIDGE_RATE_LIMIT, default 0"
    assert rows["openai_key"] == "CODER_AIBRIDGE_OPENAI_KEY, not set"
    assert rows["coder_url"] == "CODER_URL, not set; requires a restart"
