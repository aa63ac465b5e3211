"""Base URLs that look like a mistake are warned of, with the right one."""

import pytest

from aibridged.config.check_base_urls import warnings
from aibridged.config.options import ProviderSettings
from aibridged.config.providers import COPILOT_PLANS
from aibridged.config.resolution import Resolution

MISTAKES = [
    ("anthropic", "https://api.anthropic.com/v1", "should not end in /v1: requests go to "
     "https://api.anthropic.com/v1/v1/messages. Set it to https://api.anthropic.com."),
    ("anthropic", "https://api.anthropic.com/v1/messages", "is a whole endpoint, to which the "
     "gateway appends one: requests go to https://api.anthropic.com/v1/messages/v1/messages. Set "
     "it to https://api.anthropic.com."),
    ("anthropic", "https://api.openai.com", "is that of another vendor, for the type anthropic"),
    ("anthropic", "https://a.example//proxy", "has an empty segment (//)"),
    ("openai", "https://api.openai.com", "has no version: requests go to "
     "https://api.openai.com/chat/completions. Most servers want https://api.openai.com/v1."),
    ("openai", "http://localhost:11434", "Most servers want http://localhost:11434/v1."),
    ("openai", "https://api.openai.com/v1/v1", "should not end in /v1"),
    ("openai", "https://api.openai.com/v1/chat/completions", "Set it to https://api.openai.com/v1."),
    ("openai", "https://api.openai.com/v1/responses", "Set it to https://api.openai.com/v1."),
    ("openai", "https://o.example//v1", "has an empty segment (//)"),
    ("copilot", "https://api.business.githubcopilot.com/v1", "should not end in /v1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "url", "sentence"), MISTAKES)
def test_a_doubtful_base_url(kind, url, sentence):
    [warning] = warnings([ProviderSettings(kind, "mine", None, url)])
    assert warning.startswith("The base URL of the provider mine ")
    assert sentence in warning


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("anthropic", "https://api.anthropic.com"),
        ("anthropic", "https://api.deepseek.com/anthropic"),
        ("openai", "https://api.openai.com/v1"),
        ("openai", "https://generativelanguage.googleapis.com/v1beta/openai"),
        ("openai", "https://api.groq.com/openai/v1"),
        ("openai", "https://api.deepseek.com"),
        ("openai", "https://models.github.ai/inference"),
        *(("copilot", plan.base_url) for plan in COPILOT_PLANS),
    ],
)
def test_a_good_one(kind, url):
    assert not list(warnings([ProviderSettings(kind, "mine", None, url)]))


def test_the_settings_are_checked(resolve) -> None:
    found: Resolution = resolve(
        {"--aibridge-anthropic-base-url": "https://api.anthropic.com/v1/"}, {}
    )
    assert found.settings is not None
    [warning] = [each for each in found.warnings if "base URL" in each]
    assert "Set it to https://api.anthropic.com." in warning
