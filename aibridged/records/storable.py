"""Text as both databases can store it."""

from aibridged.gateway_tokens import blanked, prefix_in


def storable(text: str) -> str:
    """The text as both databases can store it, with tokens redacted."""
    if prefix_in(text) is not None:
        text = blanked(text)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "\ufffd") if "\0" in text else text
