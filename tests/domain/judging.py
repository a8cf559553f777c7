"""What must hold of every history of a close, by the truth of the model."""

from decimal import Decimal
from itertools import pairwise

from sureclose.domain.close import Done, fold
from sureclose.domain.facts import Admitted, Answered, Clearing, Filled, Sending, Sized, Why
from sureclose.domain.market import RestingOrder
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.policy import Clears
from sureclose.domain.price import MARKET_ORDER_REJECT
from sureclose.domain.report import report_of
from sureclose.domain.words import Side
from tests.domain.drivers import History
from tests.domain.scripts import Cancel, milli


def judged(history: History) -> None:
    """What must hold of every history, by the truth of the model."""
    journal, world = history.journal, history.world
    ended, script = history.ended, history.script
    outcome, filled = ended.outcome, world.own_filled()
    final = fold(journal.facts)
    assert isinstance(final, Done)
    known = final.progress.filled
    assert outcome.kind is not OutcomeKind.PARKED, f"a fault alone parked: {outcome}"
    assert known == filled, f"{filled} was filled and {known} is known"
    if outcome.kind in {OutcomeKind.ALREADY_FLAT, OutcomeKind.SKIPPED, OutcomeKind.REFUSED}:
        assert not filled, f"{outcome} with {filled} filled"
    if outcome.kind in {OutcomeKind.FLAT, OutcomeKind.REDUCED}:
        _confirmed(history, filled)
    _not_over_closed(history, filled)
    _same_position(history)
    if outcome.kind is OutcomeKind.ALREADY_FLAT:
        assert ended.position_after is not None
        assert ended.position_after.amount == 0
    if outcome.reason == "position_changed" and not script.torn:
        _disturbed(history)
    _told_once(history)
    _bounded(history)
    cancelled(history)


def _confirmed(history: History, filled: Decimal) -> None:
    """I7: only with fills and a read that counts."""
    ended, world, script = history.ended, history.world, history.script
    position = ended.position_after
    assert filled, f"{ended.outcome} without a fill"
    assert position is not None
    last = max(trade.time for trade in world.trades if world.orders[trade.order_id].own)
    assert position.requested_at >= last
    assert position.update_time >= last or (script.timeless and not position.amount)
    assert (position.amount == 0) is (ended.outcome.kind is OutcomeKind.FLAT)
    if script.timeless and not position.amount:
        assert any(at >= last and not amount for at, amount in world.moves), "it was never flat"
    elif not script.torn:
        assert world.truth_at(position.update_time) == position.amount
    target = history.sized[-1].target
    if ended.outcome == Outcome(OutcomeKind.REDUCED):
        assert filled == target, f"reduced by {filled} of {target} and no reason is given"


def _disturbed(history: History) -> None:
    """What others did before the sizing that was filled by is part of it or corrected, and reduces no close."""
    world, since = history.world, 0
    if history.outcome.kind is OutcomeKind.REDUCED:
        since = min(_covered(history, sized) for sized in history.sized if not _undone(history, sized))
    others = [trade for trade in world.its_trades if not world.orders[trade.order_id].own]
    assert any(trade.time > since for trade in others[bool(history.script.position) :]), (
        "nobody else changed the position since it was sized"
    )


def _covered(history: History, sized: Sized) -> int:
    """Up to when changes are part of a sizing: the read that its first attempt was made with, or the attempt itself."""
    known = history.journal.facts
    behind = known[known.index(sized) :]
    first = [fact for fact in behind if isinstance(fact, Sending)][:1]
    reads = [sized.position, *(sending.position for sending in first)]
    sent = [sending.timestamp for sending in first if sized.position.told]
    return max(*(max(read.update_time, read.requested_at) for read in reads), *sent, 0)


def _sendings(history: History) -> list[Sending]:
    return [fact for fact in history.journal.facts if isinstance(fact, Sending)]


def _told_once(history: History) -> None:
    """What the stream tells sizes the first attempt of a full close, and nothing else."""
    first = True
    for fact in history.journal.facts:
        if isinstance(fact, Admitted):
            first = True
        elif isinstance(fact, Sending):
            assert not fact.position.told or (first and fact.position.amount), f"{fact} was not read for"
            assert not fact.position.told or history.script.full
            first = False


def _undone(history: History, sized: Sized) -> bool:
    """Whether it was told, and nothing had been filled by it when the next sizing was made."""
    later = history.sized[history.sized.index(sized) + 1 :]
    return bool(later) and not _bound(history, later[0])


def _bound(history: History, sized: Sized) -> bool:
    """Whether something had been filled when this sizing was made."""
    before = history.journal.facts[: history.journal.facts.index(sized)]
    return any(isinstance(fact, Filled) and fact.trades for fact in before)


def _not_over_closed(history: History, filled: Decimal) -> None:
    sizings, world, script = history.sized, history.world, history.script
    if not sizings:
        assert not filled
        return
    assert filled <= sizings[-1].target
    if not script.full:
        assert len(sizings) == 1, "a partial close is sized once"
        wanted = abs(sizings[0].position.amount) * Decimal(script.fraction or "1")
        if script.quantity is not None:
            wanted = min(wanted, milli(script.quantity))
        assert sizings[0].target <= wanted
    facts = history.journal.facts
    admitted = max(index for index, fact in enumerate(facts) if isinstance(fact, Admitted))
    for first, again in pairwise(sized for sized in sizings if facts.index(sized) > admitted):
        if not _bound(history, again):
            assert first.position.told, f"{first} binds, and was not kept to"
            continue
        since = _covered(history, first)
        added = [
            trade
            for trade in world.its_trades
            if since < trade.time <= again.position.update_time and trade.signed * first.position.amount > 0
        ]
        assert not added, f"sized again although somebody added {added}"


def _same_position(history: History) -> None:
    """No order for a position that went through zero after the decision, as far as the sizing's read could show it."""
    decision_ = history.decision
    since = decision_.origin_at + 2_000
    if decision_.position_update_time is not None:
        since = decision_.position_update_time
    for sized in history.sized:
        position = sized.position
        amount = position.amount
        for trade in reversed(history.world.its_trades):
            if since < trade.time <= position.update_time and not _bound(history, sized):
                amount -= trade.signed
                assert amount * position.amount > 0 or history.script.torn, (
                    f"the position had been {amount} before {trade}"
                )
    for sending in history.world.sent:
        _still_the_same(history, sending)


def _still_the_same(history: History, sending: Sending) -> None:
    """Nor for one that was closed and opened anew by others since our last fill, as far as the gate's read shows it."""
    read, world = sending.position, history.world
    journal = history.journal.facts
    sized = [fact for fact in journal[: journal.index(sending)] if isinstance(fact, Sized)][-1]
    fills = [t.time for t in world.its_trades if world.orders[t.order_id].own and t.time <= read.update_time]
    since = max(_covered(history, sized), *fills, 0)
    amount = read.amount
    for trade in reversed(world.its_trades):
        if since < trade.time <= read.update_time:
            amount -= trade.signed
            assert amount * read.amount > 0 or history.script.torn, (
                f"attempt {sending.attempt}: the position had been {amount} before {trade}"
            )


def _bounded(history: History) -> None:
    """The attempt after a refusal for the price band has a limit price, and no other has one."""
    marks = [fact for fact in history.journal.facts if isinstance(fact, Admitted | Answered | Sending)]
    for before, fact in pairwise(marks):
        if isinstance(fact, Sending):
            rejected = isinstance(before, Answered) and before.code == MARKET_ORDER_REJECT
            assert (fact.limit_price is not None) is rejected, fact


def cancelled(history: History) -> None:
    """Only what reduces this position, for a reason that the journal gives, and the report says it all."""
    world, script = history.world, history.script
    for _, order in world.shelf.asked:
        assert order.reduces, f"{order} was cancelled and reduces nothing"
        assert order.position_side is script.side, f"{order} is of another position"
    side: Side | None = None
    for fact in history.journal.facts:
        if isinstance(fact, Sending):
            side = fact.side
        elif isinstance(fact, Clearing) and fact.why is Why.BLOCKING:
            assert history.policy.clears is Clears.REDUCING
            assert all(order.side is side for order in fact.orders), f"{fact} was in nobody's way"
        elif isinstance(fact, Clearing):
            assert history.policy.tidies
            assert all(_left_behind(history, order) for order in fact.orders), f"{fact} was not left behind"
    _reported(history)


def _left_behind(history: History, order: RestingOrder) -> bool:
    return any(at >= order.time and not amount for at, amount in history.world.moves)


def _reported(history: History) -> None:
    """``cancelled`` and ``left`` of the report, against what became of each order."""
    script, world, final = history.script, history.world, fold(history.journal.facts)
    assert isinstance(final, Done)
    report = report_of(final, "")
    assert history.report is not None
    assert history.report == report, f"told was {history.report}, the journal says {report}"
    by_id = {resting.order.client_order_id: resting for resting in world.shelf.orders}
    clear_sight = not script.resting_lags and not script.failing_reads and Cancel.LATE not in script.cancels
    if not script.resting_lags:
        clearing = () if final.progress.clearing is None else final.progress.clearing.orders
        doubtful = {order.client_order_id for order in clearing}
        still = {name for name in report.cancelled if by_id[name].ended_at is None}
        assert still <= doubtful, f"{still - doubtful} are told to be cancelled and rest"
    admitted = max(index for index, fact in enumerate(history.journal.facts) if isinstance(fact, Admitted))
    for fact in history.journal.facts[admitted:]:
        if isinstance(fact, Clearing) and fact.why is Why.BLOCKING:
            gone = [order.client_order_id for order in fact.orders if by_id[order.client_order_id].cancelled]
            assert set(gone) <= set(report.cancelled), f"{gone} were cancelled, told are {report.cancelled}"
    after = history.ended.position_after
    if history.outcome.kind in {OutcomeKind.FLAT, OutcomeKind.ALREADY_FLAT} and history.policy.tidies:
        assert after is not None
        rest = {
            name
            for name, resting in by_id.items()
            if resting.ended_at is None
            and resting.order.reduces
            and resting.order.position_side is script.side
            and resting.order.time <= after.update_time
        }
        if not script.resting_lags:
            assert rest <= set(report.left), f"{rest} are left, told are {report.left}"
        if clear_sight:
            # One that fired by itself since was left behind all the same.
            fired = {name for name, one in by_id.items() if (one.ended_at or 0) > after.update_time}
            assert set(report.left) <= rest | fired, f"{report.left} are told to be left, {rest} are"
            kept = [name for name in rest if not by_id[name].script.stubborn]
            assert not kept or history.frozen, f"{kept} could have been cancelled"
    else:
        assert not report.left
