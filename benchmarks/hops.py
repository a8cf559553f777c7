"""Where the time of one close goes, hop by hop, ours beside the floor's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from statistics import median

import msgspec

from benchmarks.instrumented import ADMIT, HTTP, Span
from benchmarks.producer import NotFlat, Timed

_NS_PER_MS = 1e6


class Hop(StrEnum):
    """The parts of a close, in their order."""

    DELIVERY = "decision written → durable, read, understood"
    LOAD = "load: what the journal knows of the plan"
    SIZE = "position to size by: HTTP"
    SIZE_BESIDE = "position to size by: interval and tasks around it"
    OWN_BEFORE = "own code up to the order"
    GATE = "gate, or the floor's record: SENDING durable"
    ORDER = "order: begun → at the venue"
    ANSWER = "answer: order at the venue → answer read"
    FILLS = "fills of the order: from the stream"
    TRADES = "fills of the order: by HTTP"
    BACK = "position read back: HTTP"
    BACK_BESIDE = "position read back: interval and tasks around it"
    OWN_AFTER = "own code after the order"
    PAUSE = "pause before the same is asked again"
    OTHER = "anything else awaited"
    OUTCOME = "outcome: begun → durable and with its reader"
    TOTAL = "decision written → verified flat"


_BY_NAME = {
    "load": Hop.LOAD,
    "gate": Hop.GATE,
    "fills_of": Hop.FILLS,
    "trades_of_order": Hop.TRADES,
    "next": Hop.PAUSE,
}


class HopTime(msgspec.Struct, frozen=True):
    """Medians over all closes, in milliseconds; ``None`` where a side has no such hop."""

    hop: Hop
    ours: float | None
    floor: float | None


def hop_times(ours: Sequence[Timed], spans: Sequence[Span], floor: Sequence[Timed]) -> list[HopTime]:
    """The hops in their order. ``spans`` are of the closes ``ours``, which were made one after the other."""
    mine = [_of_close(close, spans) for close in ours]
    bare = [_of_floor(close) for close in floor]
    return [
        HopTime(hop, _median(mine, hop), _median(bare, hop))
        for hop in Hop
        if any(hop in close for close in (*mine, *bare))
    ]


def _of_close(close: Timed, spans: Sequence[Span]) -> Mapping[Hop, int]:
    """Nanoseconds of each hop of one close; raises ``NotFlat`` when it made no order or had no outcome of its own."""
    within = sorted(
        (span for span in spans if close.decided_ns <= span.began <= close.flat_ns),
        key=lambda span: span.began,
    )
    admitted = next(span.began for span in within if span.name == ADMIT)
    found = Counter({Hop.DELIVERY: admitted - close.decided_ns})
    outer = [span for span in within if span.name not in {ADMIT, HTTP}]
    for span in outer:
        took = span.ended - span.began
        http = sum(
            one.ended - one.began
            for one in within
            if one.name == HTTP and span.began <= one.began and one.ended <= span.ended
        )
        match span.name:
            case "position" if span.ended < close.sent_ns:
                found.update({Hop.SIZE: http, Hop.SIZE_BESIDE: took - http})
            case "position":
                found.update({Hop.BACK: http, Hop.BACK_BESIDE: took - http})
            case "place":
                found.update({Hop.ORDER: close.sent_ns - span.began, Hop.ANSWER: span.ended - close.sent_ns})
            case "publish":
                found[Hop.OUTCOME] += close.flat_ns - span.began
            case name:
                found[_BY_NAME.get(name, Hop.OTHER)] += took
    if Hop.ORDER not in found or Hop.OUTCOME not in found:
        raise NotFlat(f"the stopwatch saw only {sorted(found)} of a close")
    ends = [Span(ADMIT, admitted, admitted), *outer]
    gaps = [(after.began, max(0, after.began - before.ended)) for before, after in pairwise(ends)]
    found[Hop.TOTAL] = close.flat_ns - close.decided_ns
    found[Hop.OWN_BEFORE] = sum(gap for began, gap in gaps if began <= close.sent_ns)
    found[Hop.OWN_AFTER] = sum(gap for began, gap in gaps if began > close.sent_ns)
    return found


def _of_floor(close: Timed) -> Mapping[Hop, int]:
    read, recorded, answered, flat = close.stamps
    return {
        Hop.DELIVERY: read - close.decided_ns,
        Hop.GATE: recorded - read,
        Hop.ORDER: close.sent_ns - recorded,
        Hop.ANSWER: answered - close.sent_ns,
        Hop.BACK: flat - answered,
        Hop.OUTCOME: close.flat_ns - flat,
        Hop.TOTAL: close.flat_ns - close.decided_ns,
    }


def _median(closes: Sequence[Mapping[Hop, int]], hop: Hop) -> float | None:
    known = [close[hop] for close in closes if hop in close]
    return median(known) / _NS_PER_MS if known else None
