"""The exchange's own controls under /paper/v1/, no part of Binance's protocol: records, positions, prices, faults."""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from sureclose.paper import account_views
from sureclose.paper.call import House
from sureclose.paper.errors import VenueError
from sureclose.paper.order_views import queried, traded
from sureclose.paper.settings import SeedPosition, SettingsError
from sureclose.paper.wire import plain

PREFIX = "/paper/v1/"
_Form = TypeVar("_Form")


class _PositionForm(msgspec.Struct, forbid_unknown_fields=True):
    symbol: str
    amount: Decimal
    entry_price: Decimal


class _PriceForm(msgspec.Struct, forbid_unknown_fields=True):
    symbol: str
    price: Decimal


def answer(house: House, route: str, body: str) -> Any:
    """What the control `route` answers; SettingsError says what is wrong with a request."""
    match route:
        case "GET /paper/v1/records":
            return records(house)
        case "POST /paper/v1/positions":
            form = _read(body, _PositionForm, '{"symbol": "ETHUSDT", "amount": "0.5", "entry_price": "2400"}')
            position = house.desk.seed(SeedPosition(form.symbol, form.amount, form.entry_price))
            return account_views.risk_v3(house.desk, position)
        case "POST /paper/v1/prices":
            priced = _read(body, _PriceForm, '{"symbol": "ETHUSDT", "price": "2500"}')
            return _set_price(house, priced)
        case "GET /paper/v1/faults":
            return house.faults.as_dict()
        case "POST /paper/v1/faults":
            house.faults.arm(
                _read(body, dict[str, Any], '{"fault": "answer_dropped", "count": 1}'), house.desk.clock()
            )
            return house.faults.as_dict()
        case "DELETE /paper/v1/faults":
            house.faults.clear()
            return house.faults.as_dict()
        case _:
            method, _, path = route.partition(" ")
            raise VenueError(-5000, path=path, method=method)


def records(house: House) -> dict[str, Any]:
    """The judge's view: every order, trade and position, and the latest raw requests to the order endpoints."""
    desk = house.desk
    return {
        "orders": [
            queried(order, desk.contracts[order.symbol]) | {"reason": order.reason}
            for order in desk.ledger.orders.values()
        ],
        "trades": [traded(trade, desk.contracts[trade.symbol]) for trade in desk.ledger.trades],
        "positions": [account_views.risk_v2(desk, position) for position in desk.ledger.positions.values()],
        "requests": list(house.requests),
    }


def _set_price(house: House, form: _PriceForm) -> Any:
    contract = house.desk.contracts.get(form.symbol)
    if contract is None:
        raise SettingsError(f"symbol {form.symbol} is not listed")
    if not form.price.is_finite() or not contract.tick * 10 <= form.price <= contract.max_price:
        raise SettingsError(f"price must lie between {contract.tick * 10} and {contract.max_price}")
    house.desk.prices.pin(form.symbol, form.price)
    house.desk.sweep()
    return {"symbol": form.symbol, "markPrice": plain(form.price, 8)}


def _read(body: str, form: type[_Form], example: str) -> _Form:
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.MsgspecError as error:
        raise SettingsError(f"the body is not understood ({error}): send JSON like {example}") from error
