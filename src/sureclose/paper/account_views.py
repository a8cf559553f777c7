"""How positions and balances look in answers."""

from typing import Any

from sureclose.paper.desk import Desk
from sureclose.paper.events import break_even
from sureclose.paper.margin import Totals, Worth, order_margin, worth
from sureclose.paper.positions import ZERO, Position
from sureclose.paper.symbols import Contract
from sureclose.paper.wire import plain, trimmed

View = dict[str, Any]
MAX_NOTIONAL = "1000000"


def held_rows(desk: Desk, symbol: str | None, as_of: int | None = None) -> list[Position]:
    """Positions with an amount or with open orders. `as_of` (ms) shows the past: the position_lag fault."""
    ledger = desk.ledger
    busy = {(order.symbol, order.position_side) for order in ledger.open_orders.values()}
    known = (key for key in (*ledger.positions, *busy) if symbol is None or key[0] == symbol)
    rows = [_at(desk, key, as_of) for key in sorted(set(known))]
    return [row for row in rows if row.amount or (row.symbol, row.position_side) in busy]


def all_rows(desk: Desk, symbol: str | None, as_of: int | None = None) -> list[Position]:
    """Every listed symbol, flat ones too, with the time of their last change."""
    sides = ("LONG", "SHORT") if desk.ledger.dual_side else ("BOTH",)
    symbols = desk.contracts if symbol is None else (symbol,)
    return [_at(desk, (name, side), as_of) for name in symbols for side in sides]


def _at(desk: Desk, key: tuple[str, str], as_of: int | None) -> Position:
    return desk.ledger.position(*key) if as_of is None else desk.ledger.position_as_of(*key, as_of)


def _valued(desk: Desk, position: Position) -> tuple[Contract, Worth]:
    return desk.contracts[position.symbol], worth(desk.ledger, position, desk.prices.mark(position.symbol))


def risk_v3(desk: Desk, position: Position) -> View:
    contract, value = _valued(desk, position)
    orders = order_margin(desk.ledger, position.symbol)
    return {
        "symbol": position.symbol,
        "positionSide": position.position_side,
        "positionAmt": contract.quantity(position.amount),
        "entryPrice": _entry(position, contract),
        "breakEvenPrice": trimmed(break_even(position)),
        "markPrice": plain(value.mark, 8),
        "unRealizedProfit": plain(value.unrealized, 8),
        "liquidationPrice": "0",
        "isolatedMargin": "0",
        "notional": plain(value.notional, 8),
        "marginAsset": "USDT",
        "isolatedWallet": "0",
        "initialMargin": plain(value.initial + orders, 8),
        "maintMargin": plain(value.maintenance, 8),
        "positionInitialMargin": plain(value.initial, 8),
        "openOrderInitialMargin": plain(orders, 8),
        "adl": 1 if position.amount else 0,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": position.update_time,
    }


def risk_v2(desk: Desk, position: Position) -> View:
    contract, value = _valued(desk, position)
    crossed = desk.ledger.margin_type_of(position.symbol) == "CROSSED"
    return {
        "symbol": position.symbol,
        "positionAmt": contract.quantity(position.amount),
        "entryPrice": _entry(position, contract),
        "breakEvenPrice": trimmed(break_even(position)),
        "markPrice": plain(value.mark, 8),
        "unRealizedProfit": plain(value.unrealized, 8),
        "liquidationPrice": "0",
        "leverage": str(value.leverage),
        "maxNotionalValue": MAX_NOTIONAL,
        "marginType": "cross" if crossed else "isolated",
        "isolatedMargin": "0.00000000",
        "isAutoAddMargin": "false",
        "positionSide": position.position_side,
        "notional": plain(value.notional, 8),
        "isolatedWallet": "0",
        "updateTime": position.update_time,
        "isolated": not crossed,
        "adlQuantile": 1 if position.amount else 0,
    }


def account_v3(desk: Desk) -> View:
    totals = desk.totals()
    return _sums(totals) | {
        "assets": [_asset(desk, totals)],
        "positions": [
            {
                "symbol": position.symbol,
                "positionSide": position.position_side,
                "positionAmt": contract.quantity(position.amount),
                "unrealizedProfit": plain(value.unrealized, 8),
                "isolatedMargin": "0",
                "notional": plain(value.notional, 8),
                "isolatedWallet": "0",
                "initialMargin": plain(value.initial, 8),
                "maintMargin": plain(value.maintenance, 8),
                "updateTime": position.update_time,
            }
            for position in held_rows(desk, None)
            for contract, value in [_valued(desk, position)]
        ],
    }


def account_v2(desk: Desk) -> View:
    totals = desk.totals()
    return (
        permissions(desk)
        | _sums(totals)
        | {
            "assets": [_asset(desk, totals) | {"marginAvailable": True}],
            "positions": [
                {
                    "symbol": position.symbol,
                    "initialMargin": plain(value.initial, 8),
                    "maintMargin": plain(value.maintenance, 8),
                    "unrealizedProfit": plain(value.unrealized, 8),
                    "positionInitialMargin": plain(value.initial, 8),
                    "openOrderInitialMargin": plain(order_margin(desk.ledger, position.symbol), 8),
                    "leverage": str(value.leverage),
                    "isolated": desk.ledger.margin_type_of(position.symbol) != "CROSSED",
                    "entryPrice": _entry(position, contract),
                    "breakEvenPrice": trimmed(break_even(position)),
                    "maxNotional": MAX_NOTIONAL,
                    "bidNotional": "0",
                    "askNotional": "0",
                    "positionSide": position.position_side,
                    "positionAmt": contract.quantity(position.amount),
                    "notional": plain(value.notional, 8),
                    "isolatedWallet": "0",
                    "updateTime": position.update_time,
                }
                for position in all_rows(desk, None)
                for contract, value in [_valued(desk, position)]
            ],
        }
    )


def balances(desk: Desk) -> list[View]:
    totals = desk.totals()
    return [
        {
            "accountAlias": "SgsR",
            "asset": "USDT",
            "balance": plain(totals.wallet, 8),
            "crossWalletBalance": plain(totals.wallet, 8),
            "crossUnPnl": plain(totals.unrealized, 8),
            "availableBalance": plain(totals.available, 8),
            "maxWithdrawAmount": plain(min(totals.available, totals.wallet), 8),
            "marginAvailable": True,
            "updateTime": desk.ledger.wallet_time,
        }
    ]


def permissions(desk: Desk) -> View:
    return {
        "feeTier": 0,
        "feeBurn": False,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": desk.ledger.dual_side,
        "updateTime": 0,
        "multiAssetsMargin": desk.ledger.multi_assets,
        "tradeGroupId": -1,
    }


def _entry(position: Position, contract: Contract) -> str:
    return plain(position.entry_price, contract.price_places + 3) if position.amount else "0.0"


def _sums(totals: Totals) -> View:
    return {
        "totalInitialMargin": plain(totals.initial, 8),
        "totalMaintMargin": plain(totals.maintenance, 8),
        "totalWalletBalance": plain(totals.wallet, 8),
        "totalUnrealizedProfit": plain(totals.unrealized, 8),
        "totalMarginBalance": plain(totals.balance, 8),
        "totalPositionInitialMargin": plain(totals.position_margin, 8),
        "totalOpenOrderInitialMargin": plain(totals.order_margin, 8),
        "totalCrossWalletBalance": plain(totals.wallet, 8),
        "totalCrossUnPnl": plain(totals.unrealized, 8),
        "availableBalance": plain(totals.available, 8),
        "maxWithdrawAmount": plain(max(ZERO, min(totals.available, totals.wallet)), 8),
    }


def _asset(desk: Desk, totals: Totals) -> View:
    sums = _sums(totals)
    return {
        "asset": "USDT",
        "walletBalance": sums["totalWalletBalance"],
        "unrealizedProfit": sums["totalUnrealizedProfit"],
        "marginBalance": sums["totalMarginBalance"],
        "maintMargin": sums["totalMaintMargin"],
        "initialMargin": sums["totalInitialMargin"],
        "positionInitialMargin": sums["totalPositionInitialMargin"],
        "openOrderInitialMargin": sums["totalOpenOrderInitialMargin"],
        "crossWalletBalance": sums["totalCrossWalletBalance"],
        "crossUnPnl": sums["totalCrossUnPnl"],
        "availableBalance": sums["availableBalance"],
        "maxWithdrawAmount": sums["maxWithdrawAmount"],
        "updateTime": desk.ledger.wallet_time,
    }
