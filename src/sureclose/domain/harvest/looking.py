"""From what was read to what a policy sees: every price is checked here, once, for every policy."""

from collections.abc import Sequence
from decimal import Decimal

from sureclose.domain.harvest.klines import Kline
from sureclose.domain.harvest.limits import STOP_DISTANCE, Limits
from sureclose.domain.harvest.market_state import market_state
from sureclose.domain.harvest.policy import Condition, EpisodeState, MarketState, NoDecision, View
from sureclose.domain.harvest.prices import doubt_of_close, doubt_of_entry, doubt_of_mark, sane, vouched
from sureclose.domain.market import Position
from sureclose.domain.safety import AHEAD_MS, Mark


def view_of(
    position: Position,
    mark: Mark | None,
    klines: Sequence[Kline],
    episode: EpisodeState,
    now: int,
    *,
    stop_distance: Decimal = STOP_DISTANCE,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> View | NoDecision:
    """What is to be seen of one position, or why nothing may be decided about it at all. ``now`` in venue milliseconds.

    A doubt of one thing leaves the others: without a believable price an old position is still old, and without klines a loss
    is still a loss. ``mark`` is what the venue told of this position's own symbol, ``klines`` are of it as well.
    """
    nothing = _nothing_to_see(position, episode, now, stop_distance, limits)
    if nothing is not None:
        return nothing
    market = market_state(klines, now)
    strange = None
    doubt = doubt_of_mark(mark, position, now, limits)
    if doubt is None and mark is not None and isinstance(market, MarketState):
        strange = doubt_of_close(klines[-1].close, mark, limits)
    if strange is not None:
        market = strange
        if not vouched(position):
            doubt = NoDecision(Condition.MARK_ABSURD, f"{strange.why}; nothing says which of them is right")
    doubt = doubt or doubt_of_entry(position, mark, limits)
    doubts = (doubt, market if isinstance(market, NoDecision) else None)
    return View(
        position=position,
        mark=mark if doubt is None else None,
        market=market if isinstance(market, MarketState) else None,
        episode=episode,
        now=now,
        stop_distance=stop_distance,
        limits=limits,
        doubts=tuple(one for one in doubts if one is not None),
    )


def _nothing_to_see(
    position: Position, episode: EpisodeState, now: int, stop_distance: Decimal, limits: Limits
) -> NoDecision | None:
    read = position.requested_at
    if position.amount == 0:
        return NoDecision(Condition.POSITION_FLAT, "the position is zero")
    if not sane(abs(position.amount)):
        return NoDecision(Condition.POSITION_ABSURD, f"the position is {position.amount}")
    if now - read > limits.position_fresh:
        return NoDecision(
            Condition.POSITION_STALE, f"the position was last read {(now - read) / 1000:.0f} s ago"
        )
    if read - now > AHEAD_MS:
        return NoDecision(Condition.POSITION_STALE, "the read of the position is ahead of the venue's clock")
    if not sane(abs(episode.first_amount)) or episode.first_amount * position.amount < 0:
        why = f"the position is {position.amount:f} and was first seen as {episode.first_amount}"
        return NoDecision(Condition.EPISODE_UNCLEAR, why)
    if not stop_distance.is_finite() or not 0 < stop_distance < 1:
        return NoDecision(
            Condition.STOP_DISTANCE_ABSURD, f"the stop distance is {stop_distance} of the entry price"
        )
    return None
