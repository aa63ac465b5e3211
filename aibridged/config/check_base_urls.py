"""Warnings for base URLs of providers that work, but probably not as intended."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from aibridged.config.options import ProviderSettings

_VERSION = "/v1"
# The longest first: the end of one may be another.
_ENDPOINTS = (
    "/messages/count_tokens",
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/messages",
    "/models",
    "/responses",
)
_APPENDED = {
    "anthropic": "/v1/messages",
    "openai": "/chat/completions",
    "copilot": "/chat/completions",
}
# These serve OpenAI's API without a version.
_WITHOUT_VERSION = frozenset({"api.deepseek.com", "api.perplexity.ai"})
_OTHERS_HOSTS = {"anthropic": "api.openai.com", "copilot": "api.openai.com"}


def warnings(providers: Iterable[ProviderSettings]) -> Iterator[str]:
    """A sentence for each base URL that looks like a mistake."""
    for provider in providers:
        if (said := _doubt(provider)) is not None:
            yield f"The base URL of the provider {provider.name} {said}"


def _doubt(provider: ProviderSettings) -> str | None:
    """What is doubtful about it, and the mend, as the end of a sentence."""
    url = provider.base_url
    parts = urlsplit(url)
    appended = _APPENDED[provider.type]
    goes_to = f"requests go to {url}{appended}"
    if parts.hostname == _OTHERS_HOSTS.get(provider.type):
        return f"is that of another vendor, for the type {provider.type}: {goes_to}."
    if "//" in parts.path:
        return f"has an empty segment (//): {goes_to}. Remove a slash."
    if endpoint := next((each for each in _ENDPOINTS if parts.path.endswith(each)), None):
        return (
            f"is a whole endpoint, to which the gateway appends one: {goes_to}. Set it to "
            f"{_right(provider, url.removesuffix(endpoint))}."
        )
    right = _right(provider, url)
    if right == url:
        return None
    if parts.path.endswith(_VERSION) and len(right) < len(url):
        return f"should not end in {_VERSION}: {goes_to}. Set it to {right}."
    return f"has no version: {goes_to}. Most servers want {right}."


def _right(provider: ProviderSettings, url: str) -> str:
    """The URL as it usually is for this type."""
    doubled = url.endswith(_VERSION + _VERSION)
    if provider.type != "openai":
        while url.endswith(_VERSION):
            url = url.removesuffix(_VERSION)
        return url
    parts = urlsplit(url)
    if doubled:
        return url.removesuffix(_VERSION)
    if parts.path in ("", "/") and parts.hostname not in _WITHOUT_VERSION:
        return f"{parts.scheme}://{parts.netloc}{_VERSION}"
    return url
