"""Why a request by aiohttp's client failed, in words: its own texts may quote what was sent."""

import aiohttp

from aibridged.observe.connection_failure import cause_of


def in_words(error: aiohttp.ClientError) -> str:
    """The reason as the end of a sentence, without its full stop."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the upstream proxy responded with status {error.status}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without a response"
    if isinstance(error, aiohttp.ClientResponseError):
        return "its response is not HTTP"
    return str(cause_of(error))
