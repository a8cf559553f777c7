"""What every role does first with an entry: understand it, or say why there is nothing to do."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from sureclose.domain.events import Decision, Intent, Plan
from sureclose.services.settings import StreamSettings
from sureclose.streams.clock import Moment
from sureclose.streams.codec import CodecRules, Decoded, NotAClose, decode, decode_handover
from sureclose.streams.encode import Producer
from sureclose.streams.entry import Entry
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from sureclose.streams.publish import Event
from sureclose.streams.verdict import Dead, Drop

_Wanted = TypeVar("_Wanted", Intent, Plan, Decision)


class Wiring(msgspec.Struct, frozen=True):
    """Where a role reads and writes, as whom, and how it reads."""

    streams: StreamSettings
    rules: CodecRules
    producer: Producer

    def event(self, stream: StreamName, fields: Mapping[str, str]) -> Event:
        """One entry to be."""
        return Event.of(self.streams.full(stream), fields)


def understood(
    wiring: Wiring, stream: StreamName, entry: Entry, at: Moment, wanted: type[_Wanted]
) -> _Wanted | Drop | Dead:
    """The entry as what the role waits for; else why it is dropped, or the letter that says what is wrong with it."""
    decoded = decode(stream, entry.ref, entry.fields, now_ms=at.latest, rules=wiring.rules)
    return _wanted(decoded, wanted)


def handed_over(wiring: Wiring, entry: Entry, at: Moment) -> Decision | Drop | Dead:
    """The approved decision that an entry of ``trade.intent`` hands over."""
    decoded = decode_handover(entry.ref, entry.fields, now_ms=at.latest, rules=wiring.rules)
    return _wanted(decoded, Decision)


def _wanted(decoded: Decoded, wanted: type[_Wanted]) -> _Wanted | Drop | Dead:
    match decoded:
        case NotAClose(reason=reason):
            return Drop(reason)
        case Unreadable():
            return Dead(decoded, "unreadable")
    if isinstance(decoded, wanted):
        return decoded
    raise TypeError(f"there is a {type(decoded).__name__} where a {wanted.__name__} belongs")
