"""The views that policies are tried on: both sides, all scales, profits and losses, and everything that can be missing."""

from decimal import Decimal
from itertools import product
from typing import Final

from sureclose.domain.harvest.limits import HOUR_MS, STOP_DISTANCE
from sureclose.domain.harvest.policy import Condition, EpisodeState, MarketState, NoDecision, View
from sureclose.domain.market import Position
from sureclose.domain.safety import Mark
from sureclose.domain.words import PositionSide

NOW: Final = 1_790_000_000_000
_SYMBOLS: Final = ("ETHUSDT", "BTCUSDT", "1000PEPEUSDT")
"""In turn, so that one who remembers other symbols is found out."""
_AMOUNTS: Final = tuple(map(Decimal, ("1", "-1", "0.00000001", "-1000000000")))
_ENTRIES: Final = tuple(map(Decimal, ("2400", "0.00000123", "98765432.1")))
_MOVES: Final = tuple(
    map(Decimal, ("-0.5", "-0.031", "-0.001", "0", "0.021", "0.041", "0.081", "0.121", "0.35", "4"))
)
"""Of the entry price, in favour of the position."""
_AGES: Final = (None, 0, 20 * HOUR_MS, 80 * HOUR_MS)
_INEXACT: Final = 20 * HOUR_MS
"""Once a rung was taken, this age is only known to be at least that."""
_RUNGS: Final = (0, 2, 3)
_MARKETS: Final = (
    None,
    MarketState(p_trend=0.8, p_mr=0.1, p_chop=0.1, sigma=0.004, trend_strength=0.6, at=NOW - HOUR_MS),
    MarketState(p_trend=0.1, p_mr=0.3, p_chop=0.6, sigma=0.004, trend_strength=0.1, at=NOW - HOUR_MS),
    MarketState(p_trend=0.0, p_mr=1.0, p_chop=0.0, sigma=3.0, trend_strength=0.0, at=NOW - HOUR_MS),
    MarketState(p_trend=1 / 3, p_mr=1 / 3, p_chop=1 / 3, sigma=0.0, trend_strength=0.0, at=NOW - HOUR_MS),
)


def samples() -> list[View]:
    """The same ones each time, in an order that goes through everything soon."""
    found: list[View] = []
    for number, (amount, entry, age, market, rung) in enumerate(
        product(_AMOUNTS, _ENTRIES, _AGES, _MARKETS, _RUNGS)
    ):
        moves = (None, *_MOVES)
        found += [
            _view(_SYMBOLS[number % 3], amount, entry, move, age, market, rung, hedged=number % 2 == 1)
            for move in (moves[number % 11], moves[(number * 7 + 3) % 11])
        ]
    return found


def _view(
    symbol: str,
    amount: Decimal,
    entry: Decimal,
    move: Decimal | None,
    age: int | None,
    market: MarketState | None,
    rung: int,
    *,
    hedged: bool,
) -> View:
    """As ``looking.view_of`` makes them. A short can't gain four times its entry: it gains nearly all of it."""
    doubts: list[NoDecision] = []
    side = PositionSide.LONG if amount > 0 else PositionSide.SHORT
    mark = None
    if move is None:
        doubts.append(NoDecision(Condition.MARK_MISSING, "no mark price has been seen"))
    else:
        moved = move if amount > 0 else max(-move, Decimal("-0.8"))
        mark = Mark(entry * (1 + moved), NOW - 100)
    if market is None:
        doubts.append(NoDecision(Condition.KLINES_MISSING, "no klines have been read"))
    return View(
        position=Position(
            symbol=symbol,
            position_side=side if hedged else PositionSide.BOTH,
            amount=amount,
            entry_price=entry,
            mark_price=entry if mark is None else mark.price,
            update_time=NOW - HOUR_MS,
            requested_at=NOW - 200,
        ),
        mark=mark,
        market=market,
        episode=EpisodeState(
            name="episode",
            first_amount=amount,
            opened_at=None if age is None else NOW - age,
            exact=age is not None and (age != _INEXACT or rung == 0),
            rung=rung,
            asked=frozenset(f"rung-{one}" for one in range(1, rung + 1)),
        ),
        now=NOW,
        stop_distance=STOP_DISTANCE,
        doubts=tuple(doubts),
    )
