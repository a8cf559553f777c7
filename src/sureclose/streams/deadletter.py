"""The dead letter of an entry: the entry untouched, where it was, why it is here and what to do."""

import base64
import json
from typing import Any

import msgspec

from sureclose.domain.events import EntryRef
from sureclose.streams.encode import Producer, stamp
from sureclose.streams.fields import RawFields, Unreadable


def dead_letter(
    ref: EntryRef, fields: RawFields, why: Unreadable, producer: Producer, created_at_ms: int
) -> dict[str, str]:
    """For ``dead.letter``. ``entry`` is the original as JSON pairs of name and value, in their order.

    One field for all of them, so that an entry of any number of fields has its letter. What is no UTF-8 stands as
    ``{"base64": ...}``; ``original_of`` gives every byte back.
    """
    entry = [[_as_json(name), _as_json(value)] for name, value in fields.items()]
    return stamp(producer, created_at_ms, None) | {
        "stream": ref.stream,
        "id": ref.entry_id,
        "reason": why.reason,
        "remedy": why.remedy,
        "entry": json.dumps(entry),
    }


def original_of(entry: str) -> tuple[tuple[bytes, bytes], ...]:
    """The fields that a dead letter's ``entry`` was made from, byte for byte; ``ValueError`` if it is none."""
    try:
        pairs = msgspec.json.decode(entry, type=list[tuple[str | dict[str, str], str | dict[str, str]]])
        return tuple((_as_bytes(name), _as_bytes(value)) for name, value in pairs)
    except (msgspec.DecodeError, KeyError) as error:
        raise ValueError(f"no entry of a dead letter: {error}") from error


def _as_json(raw: bytes | str) -> str | dict[str, str]:
    data = raw if isinstance(raw, bytes) else _as_sent(raw)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _as_sent(text: str) -> bytes:
    """The bytes that a decoding client made the text from."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _as_bytes(kept: str | dict[str, Any]) -> bytes:
    return kept.encode() if isinstance(kept, str) else base64.b64decode(kept["base64"], validate=True)
