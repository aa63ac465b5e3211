"""Tables of prices in the form in which they are published."""

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def published() -> Callable[..., bytes]:
    """A table as a server has it: some models of one provider, with these prices."""

    def published(
        prices: Any = None, *, models: int = 3, variants: int = 2, start: str = "2099-01-01"
    ) -> bytes:
        each = {
            "prices": prices or {"input_mtok": 2.5, "output_mtok": 10},
            "price_variants": [
                {
                    "when": {"processing": "batch"},
                    "prices": {"input_mtok": 1.25},
                    "constraint": {"start_date": start},
                }
            ]
            * variants,
        }
        return json.dumps(
            [
                {
                    "id": "anthropic",
                    "name": "Anthropic",
                    "api_pattern": "https://api\\.anthropic\\.com",
                    "models": [
                        {"id": f"claude-new-{n}", "match": {"starts_with": f"claude-new-{n}"}}
                        | each
                        for n in range(models)
                    ],
                }
            ]
        ).encode()

    return published
