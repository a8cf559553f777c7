"""Views as the tests of the rules need them: an ETHUSDT position entered at 2400, seen at ``NOW``."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from sureclose.domain.harvest.klines import Kline
from sureclose.domain.harvest.limits import HOUR_MS, STOP_DISTANCE
from sureclose.domain.harvest.policy import (
    Condition,
    EpisodeState,
    Hold,
    Judgement,
    MarketState,
    NoDecision,
    Proposal,
    View,
)
from sureclose.domain.market import Position
from sureclose.domain.safety import Mark
from sureclose.domain.words import PositionSide

NOW: Final = 1_790_000_000_000
ENTRY: Final = Decimal(2400)
CALM: Final = MarketState(p_trend=0.8, p_mr=0.1, p_chop=0.1, sigma=0.004, trend_strength=0.6, at=NOW - 1)
"""Nothing speaks for ending anything."""
FLIPPED: Final = msgspec.structs.replace(CALM, p_trend=0.2, p_mr=0.3, p_chop=0.5)
NO_KLINES: Final = NoDecision(Condition.KLINES_MISSING, "no klines have been read")
NO_MARK: Final = NoDecision(Condition.MARK_MISSING, "no mark price has been seen")


def position(amount: str | Decimal = "1", **changes: Any) -> Position:
    known = Position(
        symbol="ETHUSDT",
        position_side=PositionSide.BOTH,
        amount=Decimal(amount),
        entry_price=ENTRY,
        mark_price=Decimal(0),
        update_time=NOW - HOUR_MS,
        requested_at=NOW - 200,
    )
    return msgspec.structs.replace(known, **changes)


def episode(first_amount: str | Decimal = "1", *, age: int | None = HOUR_MS, **changes: Any) -> EpisodeState:
    known = EpisodeState(
        name="an episode",
        first_amount=Decimal(first_amount),
        opened_at=None if age is None else NOW - age,
        exact=age is not None,
    )
    return msgspec.structs.replace(known, **changes)


def mark_at(r: str | Decimal, amount: str | Decimal = "1") -> Mark:
    """The mark at which the position is at so many R, costs of 10 basis points and a stop distance of 2 % included."""
    moved = ENTRY * (Decimal(r) * STOP_DISTANCE + Decimal("0.001"))
    return Mark(ENTRY + moved if Decimal(amount) > 0 else ENTRY - moved, NOW - 100)


def view(
    r: str | Decimal | None = "0",
    amount: str | Decimal = "1",
    *,
    market: MarketState | None = CALM,
    of: EpisodeState | None = None,
    **changes: Any,
) -> View:
    known = View(
        position=position(amount),
        mark=None if r is None else mark_at(r, amount),
        market=market,
        episode=episode(amount) if of is None else of,
        now=NOW,
        stop_distance=STOP_DISTANCE,
        doubts=(*((NO_MARK,) if r is None else ()), *((NO_KLINES,) if market is None else ())),
    )
    return msgspec.structs.replace(known, **changes)


def klines(closes: list[Any], *, end: int = NOW, length: int = HOUR_MS) -> list[Kline]:
    """One candle a close, opened where the one before it closed; the last one closed a moment before ``end``."""
    prices = [Decimal(str(close)) for close in closes]
    found = []
    for number, close in enumerate(prices):
        opened = prices[max(0, number - 1)]
        at = end - (len(prices) - number) * length
        found.append(
            Kline(
                opened_at=at,
                open=opened,
                high=max(opened, close),
                low=min(opened, close),
                close=close,
                closes_at=at + length - 1,
            )
        )
    return found


def proposed(answer: Judgement) -> Proposal:
    assert isinstance(answer, Proposal), answer
    return answer


def held(answer: Judgement) -> Hold:
    assert isinstance(answer, Hold), answer
    return answer


def undecided(answer: Judgement | View) -> NoDecision:
    assert isinstance(answer, NoDecision), answer
    return answer
