"""What every role does first with an entry: understand it, or say why there is nothing to do."""

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from sureclose.domain.events import Decision, Intent, Plan
from sureclose.journal.refusals import Refusal
from sureclose.services.settings import StreamSettings
from sureclose.streams.clock import Moment
from sureclose.streams.codec import Barred, CodecRules, Decoded, NotAClose, decode, decode_handover
from sureclose.streams.elsewhere import DRY_RUN, OTHER_MODE
from sureclose.streams.encode import Producer
from sureclose.streams.entry import Entry
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from sureclose.streams.publish import Event
from sureclose.streams.verdict import Dead, Drop

_REMEDIES: Final = {
    OTHER_MODE: "what is decided for one environment is executed in no other: publish it on the log of that one, or decide it anew here",
    DRY_RUN: "a rehearsal is never executed: decide it anew, in earnest",
}
_Wanted = TypeVar("_Wanted", Intent, Plan, Decision)


class Wiring(msgspec.Struct, frozen=True):
    """Where a role reads and writes, as whom, and how it reads.

    ``refused`` is the full name of the stream that tells of refused wishes; empty for a role that reads none.
    """

    streams: StreamSettings
    rules: CodecRules
    producer: Producer
    refused: str = ""

    def of(self, producer: Producer) -> "Wiring":
        """As another role has it."""
        return msgspec.structs.replace(self, producer=producer)

    def event(self, stream: StreamName, fields: Mapping[str, str]) -> Event:
        """One entry to be."""
        return Event.of(self.streams.full(stream), fields)


def understood(
    wiring: Wiring, stream: StreamName, entry: Entry, at: Moment, wanted: type[_Wanted]
) -> _Wanted | Drop | Dead:
    """The entry as what the role waits for; else why it is dropped, or the letter that says what is wrong with it."""
    decoded = decode(stream, entry.ref, entry.fields, now_ms=at.latest, rules=wiring.rules)
    return _wanted(wiring, entry, at, decoded, wanted)


def handed_over(wiring: Wiring, entry: Entry, at: Moment) -> Decision | Drop | Dead:
    """The approved decision that an entry of ``trade.intent`` hands over."""
    decoded = decode_handover(entry.ref, entry.fields, now_ms=at.latest, rules=wiring.rules)
    return _wanted(wiring, entry, at, decoded, Decision)


def _wanted(
    wiring: Wiring, entry: Entry, at: Moment, decoded: Decoded, wanted: type[_Wanted]
) -> _Wanted | Drop | Dead:
    match decoded:
        case NotAClose(reason=reason, barred=Barred() as barred) if wiring.refused:
            return Drop(reason, (_refusal(wiring, entry, at, barred),))
        case NotAClose(reason=reason):
            return Drop(reason)
        case Unreadable():
            return Dead(decoded, "unreadable")
    if isinstance(decoded, wanted):
        return decoded
    raise TypeError(f"there is a {type(decoded).__name__} where a {wanted.__name__} belongs")


def _refusal(wiring: Wiring, entry: Entry, at: Moment, barred: Barred) -> Event:
    """What is told of a wish or an approval that nobody may execute here."""
    bar = barred.bar
    refusal = Refusal(
        where=wiring.producer.name,
        reason=bar.rule,
        threshold=bar.threshold,
        seen=bar.seen,
        remedy=_REMEDIES[bar.rule],
        at=at.now,
        intent_id=barred.intent_id,
        plan_id=barred.plan_id,
        symbol=barred.symbol,
        stream=entry.ref.stream,
        entry_id=entry.ref.entry_id,
    )
    return Event.of(wiring.refused, refusal.fields())
