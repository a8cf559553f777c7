"""Entries for ``authority.events``: one word, and its facts as JSON."""

from collections.abc import Mapping

import msgspec

from sureclose.domain.times import iso_ms
from sureclose.domain.words import Mode
from sureclose.streams.encode import SCHEMA, Producer


def authority_event(
    event: str, facts: Mapping[str, str], producer: Producer, at: int, mode: Mode
) -> dict[str, str]:
    """One entry; ``at`` is wall clock milliseconds."""
    return {
        "schema": SCHEMA,
        "producer": msgspec.json.encode(producer).decode(),
        "created_at": iso_ms(at),
        "mode": mode,
        "event": event,
        "facts": msgspec.json.encode(dict(facts)).decode(),
    }
