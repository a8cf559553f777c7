"""Entries for ``authority.events``: one word, and its facts as JSON."""

from collections.abc import Mapping

import msgspec

from sureclose.domain.words import Mode
from sureclose.streams.encode import Producer, stamp


def authority_event(
    event: str, facts: Mapping[str, str], producer: Producer, at: int, mode: Mode
) -> dict[str, str]:
    """One entry; ``at`` is the log's milliseconds."""
    return stamp(producer, at, mode) | {
        "event": event,
        "facts": msgspec.json.encode(dict(facts)).decode(),
    }
