"""The account: positions, balances, settings."""

from decimal import Decimal
from typing import Any

from sureclose.paper import account_views as views
from sureclose.paper.call import Call, Route, Security
from sureclose.paper.errors import VenueError
from sureclose.paper.facts import Leveraged, MarginTyped, Moded, MultiAssets
from sureclose.paper.matching import MAKER_FEE, TAKER_FEE
from sureclose.paper.positions import Position
from sureclose.paper.wire import trimmed

SUCCESS = {"code": 200, "msg": "success"}


def risk_v3(call: Call) -> Any:
    rows = views.held_rows(call.desk, _symbol(call), _as_of(call))
    return [views.risk_v3(call.desk, row) for row in rows]


def risk_v2(call: Call) -> Any:
    rows = views.all_rows(call.desk, _symbol(call), _as_of(call))
    return [views.risk_v2(call.desk, row) for row in rows]


def account_v2(call: Call) -> Any:
    return views.account_v2(call.desk)


def account_v3(call: Call) -> Any:
    return views.account_v3(call.desk)


def balance(call: Call) -> Any:
    return views.balances(call.desk)


def account_config(call: Call) -> Any:
    return views.permissions(call.desk)


def symbol_config(call: Call) -> Any:
    ledger, symbol = call.desk.ledger, _symbol(call)
    return [
        {
            "symbol": name,
            "marginType": ledger.margin_type_of(name),
            "isAutoAddMargin": False,
            "leverage": ledger.leverage_of(name),
            "maxNotionalValue": views.MAX_NOTIONAL,
        }
        for name in (call.desk.contracts if symbol is None else (symbol,))
    ]


def position_mode(call: Call) -> Any:
    return {"dualSidePosition": call.desk.ledger.dual_side}


def set_position_mode(call: Call) -> Any:
    call.params.required("dualSidePosition")
    wanted = bool(call.params.flag("dualSidePosition"))
    ledger = call.desk.ledger
    if wanted == ledger.dual_side:
        raise VenueError(-4059)
    if ledger.open_orders or ledger.open_algos:
        raise VenueError(-4067)
    if _is_holding(call):
        raise VenueError(-4068)
    call.desk.commit([Moded(wanted, call.now)])
    return SUCCESS


def multi_assets(call: Call) -> Any:
    return {"multiAssetsMargin": call.desk.ledger.multi_assets}


def set_multi_assets(call: Call) -> Any:
    call.params.required("multiAssetsMargin")
    call.desk.commit([MultiAssets(bool(call.params.flag("multiAssetsMargin")), call.now)])
    return SUCCESS


def set_leverage(call: Call) -> Any:
    contract = call.desk.contract(call.params)
    leverage = call.params.required_integer("leverage")
    if not 1 <= leverage <= contract.max_leverage:
        raise VenueError(-4028, leverage=leverage)
    call.desk.commit([Leveraged(contract.symbol, leverage, call.now)])
    return {"leverage": leverage, "maxNotionalValue": views.MAX_NOTIONAL, "symbol": contract.symbol}


def set_margin_type(call: Call) -> Any:
    contract = call.desk.contract(call.params)
    wanted = call.params.required_choice("marginType", {"ISOLATED", "CROSSED"}, -1130)
    ledger = call.desk.ledger
    if ledger.margin_type_of(contract.symbol) == wanted:
        raise VenueError(-4046)
    if ledger.open_of(contract.symbol):
        raise VenueError(-4047)
    if any(position.amount for position in _of_symbol(call, contract.symbol)):
        raise VenueError(-4048)
    call.desk.commit([MarginTyped(contract.symbol, wanted, call.now)])
    return SUCCESS


def leverage_bracket(call: Call) -> Any:
    symbol = _symbol(call)
    rows = [_bracket(call, name) for name in (call.desk.contracts if symbol is None else (symbol,))]
    return rows if symbol is None else rows[0]


def _bracket(call: Call, symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": 1,
                "initialLeverage": call.desk.contracts[symbol].max_leverage,
                "notionalCap": 1_000_000_000,
                "notionalFloor": 0,
                "maintMarginRatio": 0.004,
                "cum": 0,
            }
        ],
    }


def commission_rate(call: Call) -> Any:
    return {
        "symbol": call.desk.contract(call.params).symbol,
        "makerCommissionRate": trimmed(MAKER_FEE),
        "takerCommissionRate": trimmed(TAKER_FEE),
        "rpiCommissionRate": trimmed(Decimal("0.00005")),
    }


def order_limits(call: Call) -> Any:
    """GET /fapi/v1/rateLimit/order: the limits themselves."""
    counts = call.house.limits.counts(call.ip, call.now)
    return [
        {name: row[name] for name in row if name != "count"}
        for row in counts
        if row["rateLimitType"] == "ORDERS"
    ]


def income(call: Call) -> Any:
    """REALIZED_PNL and COMMISSION of every trade; no funding is ever paid here."""
    symbol = _symbol(call)
    kind = call.params.text("incomeType")
    limit = min(call.params.integer("limit", least=1) or 100, 1000)
    begin, end = call.params.integer("startTime") or 0, call.params.integer("endTime") or call.now
    rows: list[dict[str, Any]] = []
    for trade in reversed(call.desk.ledger.trades):
        if symbol not in {None, trade.symbol} or not begin <= trade.time <= end:
            continue
        for name, amount in (("COMMISSION", -trade.commission), ("REALIZED_PNL", trade.realized)):
            if amount and kind in {None, name}:
                rows.append(
                    {
                        "symbol": trade.symbol,
                        "incomeType": name,
                        "income": f"{amount:.8f}",
                        "asset": "USDT",
                        "info": str(trade.trade_id),
                        "time": trade.time,
                        "tranId": trade.trade_id,
                        "tradeId": str(trade.trade_id),
                    }
                )
        if len(rows) >= limit:
            break
    return rows[:limit][::-1]


def adl_quantile(call: Call) -> Any:
    return [
        {"symbol": row.symbol, "adlQuantile": {row.position_side: 1}}
        for row in views.held_rows(call.desk, _symbol(call))
        if row.amount
    ]


def fee_burn(_call: Call) -> Any:
    return {"feeBurn": False}


def _symbol(call: Call) -> str | None:
    return call.desk.contract(call.params).symbol if call.params.has("symbol") else None


def _of_symbol(call: Call, symbol: str) -> list[Position]:
    return [position for position in call.desk.ledger.positions.values() if position.symbol == symbol]


def _is_holding(call: Call) -> bool:
    return any(position.amount for position in call.desk.ledger.positions.values())


def _as_of(call: Call) -> int | None:
    fault = call.strikes("position_lag")
    return None if fault is None else call.now - fault.ms


SIGNED = Security.SIGNED
ROUTES: dict[str, Route] = {
    "GET /fapi/v2/positionRisk": Route(risk_v2, SIGNED, 5),
    "GET /fapi/v3/positionRisk": Route(risk_v3, SIGNED, 5),
    "GET /fapi/v2/account": Route(account_v2, SIGNED, 5),
    "GET /fapi/v3/account": Route(account_v3, SIGNED, 5),
    "GET /fapi/v2/balance": Route(balance, SIGNED, 5),
    "GET /fapi/v3/balance": Route(balance, SIGNED, 5),
    "GET /fapi/v1/accountConfig": Route(account_config, SIGNED, 5),
    "GET /fapi/v1/symbolConfig": Route(symbol_config, SIGNED, 5),
    "GET /fapi/v1/positionSide/dual": Route(position_mode, SIGNED, 30),
    "POST /fapi/v1/positionSide/dual": Route(set_position_mode, SIGNED),
    "GET /fapi/v1/multiAssetsMargin": Route(multi_assets, SIGNED, 30),
    "POST /fapi/v1/multiAssetsMargin": Route(set_multi_assets, SIGNED),
    "POST /fapi/v1/leverage": Route(set_leverage, SIGNED),
    "POST /fapi/v1/marginType": Route(set_margin_type, SIGNED),
    "GET /fapi/v1/leverageBracket": Route(leverage_bracket, SIGNED),
    "GET /fapi/v1/commissionRate": Route(commission_rate, SIGNED, 20),
    "GET /fapi/v1/rateLimit/order": Route(order_limits, SIGNED),
    "GET /fapi/v1/income": Route(income, SIGNED, 30),
    "GET /fapi/v1/adlQuantile": Route(adl_quantile, SIGNED, 5),
    "GET /fapi/v1/feeBurn": Route(fee_burn, SIGNED, 30),
}
