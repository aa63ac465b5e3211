"""What goes on record of a request before it is sent, beside the start itself."""

from aibridged.records.facts import InterceptionStart, Metadata, UserPromptRecord
from aibridged.records.ids import uuid7
from aibridged.records.schema import MAX_NAME
from aibridged.records.truncation import truncation_metadata


def start_metadata(purpose: str | None, requested_model: str | None) -> Metadata:
    """The metadata of the start: the program's own purpose, and the model that the client named,
    where another one is asked."""
    metadata: Metadata = {} if purpose is None else {"purpose": purpose}
    if requested_model is not None:
        metadata["requested_model"] = requested_model[:MAX_NAME]
    return metadata


def prompt_record(start: InterceptionStart, prompt: str) -> UserPromptRecord:
    """The prompt, which may be cut."""
    return UserPromptRecord(
        id=uuid7(start.started_at),
        interception_id=start.id,
        created_at=start.started_at,
        prompt=str(prompt),
        metadata=truncation_metadata(prompt),
    )
