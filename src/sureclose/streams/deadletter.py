"""The dead letter of an entry: the entry untouched, where it was, why it is here and what to do."""

import base64

import msgspec

from sureclose.streams.entry import Entry


def dead_letter(entry: Entry, reason: str, remedy: str) -> dict[bytes, bytes]:
    """``entry`` is the original as JSON pairs of name and value, from which ``encode.original_of`` gives every byte back.

    One field for all of them, so that an entry of any number of fields has its letter.
    """
    original = [[_as_json(name), _as_json(value)] for name, value in entry.fields.items()]
    return {
        b"stream": entry.ref.stream.encode(),
        b"id": entry.ref.entry_id.encode(),
        b"reason": reason.encode(errors="replace"),
        b"remedy": remedy.encode(errors="replace"),
        b"entry": msgspec.json.encode(original),
    }


def _as_json(raw: bytes) -> str | dict[str, str]:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}
