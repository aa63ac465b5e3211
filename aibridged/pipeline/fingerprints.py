"""Hands over what was sent to a provider, for the fingerprints of its prompt."""

from aibridged.pipeline.context import RequestContext
from aibridged.records.fingerprint_writer import FingerprintWriter, Sent
from aibridged.wire.prompt_blocks import HAVE_BLOCKS


def note_sent(context: RequestContext, writer: FingerprintWriter) -> None:
    """Have the first request of an interception fingerprinted, in no time of its own."""
    interception, api = context.interception, context.route.api
    if interception is None or api not in HAVE_BLOCKS or interception.is_fingerprinted:
        return
    interception.is_fingerprinted = True
    start = interception.start
    conversation = start.initiator_id, start.client_session_id or ""
    writer.put(Sent(interception.id, conversation, api, context.plain, context.members))
