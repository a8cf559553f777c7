"""Whether a read of the position counts, and whether the position is still the one that was decided on."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.close import Progress
from sureclose.domain.events import Decision
from sureclose.domain.facts import Sized
from sureclose.domain.history import LOOKBACK_MS
from sureclose.domain.market import Position, Trade
from sureclose.domain.words import PositionSide, Side

CLOCK_DOUBT_MS: Final = 2_000
"""How far a producer's clock may be off the venue's before an opening trade counts as later than its decision."""


def counts(position: Position, progress: Progress) -> bool:
    """A read counts when it was asked for after the last fill and shows a state that is not older.

    A flat row without a time is taken for one that was emptied: the trades are asked about it before it is believed.
    """
    last = progress.last_fill_time
    return position.requested_at >= last and (position.update_time >= last or timeless(position))


def timeless(position: Position) -> bool:
    """Whether the venue says flat and not since when."""
    return position.amount == 0 and position.update_time == 0


def behind(position: Position, trades: Iterable[Trade]) -> bool:
    """Whether a trade made before the read was asked for is missing in what the read shows."""
    return any(position.update_time < trade.time < position.requested_at for trade in trades)


def older_than_decided(position: Position, progress: Progress) -> bool:
    """Whether the decision has seen a later state than this read shows."""
    seen_at = progress.decision.position_update_time
    return progress.sized is None and seen_at is not None and position.update_time < seen_at


def unfixed(progress: Progress) -> Progress:
    """Without a sizing that binds nothing.

    No attempt was made with it, for the gate was occupied, and who had it changed the position; or the stream told it, and
    nothing was filled by it.
    """
    sized = progress.sized
    binds = progress.fixed and not (sized is not None and sized.position.told and not progress.trades)
    return progress if binds else msgspec.structs.replace(progress, sized=None)


def same_sizing(sized: Sized, position: Position, target: Decimal) -> bool:
    """Whether a new read says nothing new of how much to close."""
    known = sized.position
    return (known.position_side, known.amount, known.update_time, sized.target) == (
        position.position_side,
        position.amount,
        position.update_time,
        target,
    )


def may_be_told(progress: Progress, tries: int, now: int) -> bool:
    """Whether the stream's word may size the close: all of it, at the first try, and a young wish.

    What may have become of the position of an older wish is looked up.
    """
    decision = progress.decision
    young = now - decision.origin_at <= CLOCK_DOUBT_MS and decision.position_update_time is None
    return not tries and not progress.attempts and progress.full and young


def sized_at(sized: Sized, progress: Progress) -> int:
    """What came up to then is part of the sizing, or ought to be: a stale one is corrected by sizing again.

    The first attempt with it may have been made on a later read that said the same, or on what the stream told, which was
    as old as the stream was late: a read would have been made when the attempt was.
    """
    first = progress.attempts[progress.begun : progress.begun + 1]
    reads = (sized.position, *(attempt.position for attempt in first))
    sent = [attempt.timestamp for attempt in first if sized.position.told]
    return max(*(max(read.update_time, read.requested_at) for read in reads), *sent, 0)


def newest(trades: Iterable[Trade]) -> int:
    """When the last of the trades was made; a list that ends before a position's last change is behind it."""
    return max((trade.time for trade in trades), default=0)


def shown(trades: tuple[Trade, ...], position: Position) -> list[Trade]:
    """The trades that the position's read can show; later ones came between the two reads."""
    return [trade for trade in trades if trade.time <= position.update_time]


def closing_side(position: Position) -> Side:
    """The side comes from the venue's sign, never from an event."""
    return Side.SELL if position.amount > 0 else Side.BUY


def meant(decision: Decision, long: Position, short: Position) -> Position | None:
    """Which of the two positions of a hedge mode account a decision means; ``None`` when it doesn't say.

    Without a word or a sign it means the one that is open.
    """
    match decision.position_side:
        case PositionSide.LONG:
            return long
        case PositionSide.SHORT:
            return short
    if decision.position_amt:
        return long if decision.position_amt > 0 else short
    if long.amount and short.amount:
        return None
    if long.amount or short.amount:
        return long if long.amount else short
    return max(long, short, key=lambda position: position.update_time)


def not_the_same(progress: Progress, position: Position) -> str:
    """Why this is not the position that was meant, by its sign alone; empty when it may be."""
    if progress.sized is not None:
        return "position_changed" if position.amount * progress.sized.position.amount < 0 else ""
    decision = progress.decision
    sign = {PositionSide.LONG: 1, PositionSide.SHORT: -1, PositionSide.BOTH: 0}[decision.position_side]
    if sign * position.amount < 0:
        return "other_side"
    if decision.position_amt is not None and decision.position_amt * position.amount < 0:
        return "position_reversed"
    return ""


def reference(progress: Progress, ahead: int) -> tuple[int, int]:
    """Since when the position must not have gone through zero, and until when that is in doubt.

    A sizing has looked at what came before it, and our own fills are no news. A decision's own time is a producer's,
    and the venue's clock is ``ahead`` of it.
    """
    if progress.sized is not None:
        since = max(sized_at(progress.sized, progress), progress.last_fill_time)
        return since, since
    decision, sent_at = progress.decision, progress.first_sent_at
    if decision.position_update_time is not None and decision.position_amt is not None:
        since = max(decision.position_update_time, decision.origin_at + ahead - LOOKBACK_MS)
        return since, since
    decided_at = decision.origin_at + ahead
    if sent_at is not None:
        # However far a producer's clock is ahead, its decision was there when the first attempt was made.
        return min(decided_at, sent_at), min(decided_at + CLOCK_DOUBT_MS, sent_at)
    return decided_at, decided_at + CLOCK_DOUBT_MS
