"""Paths that the gateway doesn't serve on purpose, each with the reason and the mend.

Patterns are for paths below a provider's name, those of `NOT_SERVED` without the version.
"""

import re
from collections.abc import Iterable

_Said = tuple[re.Pattern[str], str]


def _table(rows: Iterable[tuple[str, str]]) -> tuple[_Said, ...]:
    return tuple((re.compile(pattern), said) for pattern, said in rows)


_MANAGED = (
    "are not served: the organisation's key could read or change what belongs to others. Use the "
    "provider directly."
)
_UNSEEN = "a gateway that records can't see what runs in them. Use the provider directly."

NOT_SERVED = _table(
    (
        (r"/(?:messages/)?batches(?:/|$)", f"Batches are not served: {_UNSEEN}"),
        (r"/realtime(?:/|$)", f"Realtime sessions are not served: {_UNSEEN}"),
        (r"/(?:files|uploads)(?:/|$)", f"Files {_MANAGED}"),
        (r"/(?:vector_stores|containers)(?:/|$)", f"Vector stores and containers {_MANAGED}"),
        (r"/skills(?:/|$)", f"Skills {_MANAGED}"),
        (r"/(?:organizations?|dashboard|usage)(?:/|$)", f"An organisation's settings {_MANAGED}"),
        (r"/(?:fine_tuning|fine-tunes|evals|graders)(?:/|$)", f"Fine-tuning and evals {_MANAGED}"),
        (
            r"/(?:assistants|threads|agents|sessions|environments)(?:/|$)",
            f"Agents and assistants that the provider runs by itself are not served: {_UNSEEN}",
        ),
        (
            r"/(?:images|videos|audio)(?:/|$)",
            "Images, video and audio are not served: the gateway records text models alone. Use "
            "the provider directly.",
        ),
        (
            r"/moderations(?:/|$)",
            "Moderations are not served: the gateway records text models alone. Use the provider "
            "directly.",
        ),
        (
            r"/(?:rerank|reranking)(?:/|$)",
            "Reranking is not served: the gateway has no record of it. Use the provider directly.",
        ),
        (
            r"/complete$",
            "Anthropic's legacy completions are not served: use POST /v1/messages.",
        ),
        (
            r"/(?:api/)?oauth/",
            "Logins are not served: log in at the vendor itself, or send a gateway token alone.",
        ),
    )
)

FOREIGN = _table(
    (
        (
            r"/openai/deployments/",
            "Azure's paths are not served: use a client for OpenAI's own API, whose base URL ends "
            "in the name of the provider and /v1, with the deployment as the model.",
        ),
        (
            r"^/v1(?:alpha|beta)\d*/|:(?:streamGenerateContent|generateContent|countTokens)$",
            "Gemini's API is not served: use a client for OpenAI's API; Gemini's own server speaks "
            "that as well, below /v1beta/openai.",
        ),
        (
            r"/projects/[^/]+/locations/|:(?:raw|streamRaw)Predict$",
            "Vertex AI's paths are not served: use a client for the vendor's own API (for Claude "
            "Code: unset CLAUDE_CODE_USE_VERTEX, and set ANTHROPIC_BASE_URL).",
        ),
        (
            r"^/model/[^/]+/(?:invoke|converse)",
            "Bedrock's paths are not served: use a client for the vendor's own API (for Claude "
            "Code: unset CLAUDE_CODE_USE_BEDROCK, and set ANTHROPIC_BASE_URL).",
        ),
        (
            r"^(?:/v1)?/api/(?:chat|generate|tags|show|embed|embeddings|version|ps)$",
            "Ollama's own API is not served: use a client for OpenAI's API, which Ollama speaks "
            "as well.",
        ),
        (
            r"/(?:model_group|model|key|user|team)/(?:info|list)$",
            "LiteLLM's own API is not served: GET /models lists the models.",
        ),
    )
)
