"""What a person's fresh read makes of a parked close."""

from decimal import Decimal

import pytest

from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.settlement import SETTLED, Findings, Unsettled, settled
from sureclose.domain.words import PositionSide, Side

NOW = 1_700_000_000_000


def order(executed: str, status: str = "FILLED") -> OrderReport:
    return OrderReport(
        order_id=7,
        client_order_id="sc-1",
        symbol="BTCUSDT",
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        status=status,
        order_type="MARKET",
        reduce_only=True,
        orig_qty=Decimal(2),
        executed_qty=Decimal(executed),
        update_time=NOW,
    )


def trade(quantity: str) -> Trade:
    return Trade(
        trade_id=1,
        order_id=7,
        symbol="BTCUSDT",
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        quantity=Decimal(quantity),
        price=Decimal(100),
        realized_pnl=Decimal(0),
        commission=Decimal(0),
        commission_asset="USDT",
        time=NOW,
    )


def found(position: str, *orders: OrderReport, trades: tuple[Trade, ...] = ()) -> Findings:
    read = Position(
        symbol="BTCUSDT",
        position_side=PositionSide.BOTH,
        amount=Decimal(position),
        entry_price=Decimal(100),
        mark_price=Decimal(100),
        update_time=NOW,
        requested_at=NOW + 1,
    )
    return Findings(orders=orders, trades=trades, position=read)


@pytest.mark.parametrize(
    ("findings", "kind"),
    [
        (found("0", order("2"), trades=(trade("2"),)), OutcomeKind.FLAT),
        (found("1", order("2"), trades=(trade("2"),)), OutcomeKind.REDUCED),
        (found("0"), OutcomeKind.ALREADY_FLAT),
        (found("3"), OutcomeKind.REFUSED),
        (found("3", order("0", "EXPIRED")), OutcomeKind.REFUSED),
    ],
    ids=["filled and flat", "filled and open", "flat without us", "untouched", "expired unfilled"],
)
def test_the_outcome_is_what_fills_and_position_say(findings: Findings, kind: OutcomeKind) -> None:
    outcome = settled(findings)
    assert outcome.kind is kind
    assert outcome.reason == SETTLED


def test_an_order_that_can_still_fill_is_not_settled() -> None:
    with pytest.raises(Unsettled, match="still NEW"):
        settled(found("3", order("0", "NEW")))


def test_fills_that_are_not_all_listed_are_not_settled() -> None:
    with pytest.raises(Unsettled, match="repeat"):
        settled(found("0", order("2"), trades=(trade("1"),)))
