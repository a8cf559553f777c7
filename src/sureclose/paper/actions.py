"""What the controls do at once, in one table: the venue's own doings, its clock and its switches."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, Literal, TypeVar

import msgspec

from sureclose.paper import account_views
from sureclose.paper.call import House
from sureclose.paper.candles import Candle
from sureclose.paper.positions import Position
from sureclose.paper.settings import PaperSettings, SeedPosition, SettingsError
from sureclose.paper.wire import plain

_Form = TypeVar("_Form")
_LARGEST_OFFSET_MS = 86_400_000


class _PositionForm(msgspec.Struct, forbid_unknown_fields=True):
    symbol: str
    amount: Decimal
    entry_price: Decimal


class _PriceForm(msgspec.Struct, forbid_unknown_fields=True):
    symbol: str
    price: Decimal


class _CandlesForm(msgspec.Struct, forbid_unknown_fields=True):
    candles: dict[str, list[tuple[Decimal, Decimal, Decimal, Decimal]]]


class _LiquidationForm(msgspec.Struct, forbid_unknown_fields=True):
    symbol: str
    position_side: Literal["BOTH", "LONG", "SHORT"] | None = None
    adl: bool = False
    fraction: Decimal = Decimal(1)


class _ClockForm(msgspec.Struct, forbid_unknown_fields=True):
    offset_ms: int


class _SettingsForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The settings that may change at runtime; what is not given stays."""

    oversize_market: Literal["clamp", "expire"] | None = None
    resting_reduce_only: Literal["knock_out", "refuse"] | None = None
    order_response_includes_avg_price: bool | None = None
    strict_streams: bool | None = None
    strict_signatures: bool | None = None
    limits: Literal["real", "off"] | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """`example` is a body that it understands; empty when it needs none."""

    meaning: str
    act: Callable[[House, str], Any]
    example: str = ""


def _seed(house: House, body: str) -> Any:
    form = read(body, _PositionForm, ACTIONS["POST /paper/v1/positions"].example)
    position = house.desk.seed(SeedPosition(form.symbol, form.amount, form.entry_price))
    return account_views.risk_v3(house.desk, position)


def _check_price(house: House, symbol: str, price: Decimal) -> None:
    contract = house.desk.contracts.get(symbol)
    if contract is None:
        raise SettingsError(f"symbol {symbol} is not listed")
    if not price.is_finite() or not contract.tick * 10 <= price <= contract.max_price:
        raise SettingsError(f"price must lie between {contract.tick * 10} and {contract.max_price}")


def _pass_minutes(house: House, body: str) -> Any:
    form = read(body, _CandlesForm, ACTIONS["POST /paper/v1/candles"].example)
    for symbol, candles in form.candles.items():
        for prices in candles:
            _check_candle(house, symbol, prices)
    for symbol, candles in form.candles.items():
        for prices in candles:
            house.desk.candles.over(symbol, Candle(*prices))
            house.desk.sweep()
    house.tell_marks()
    return {symbol: len(candles) for symbol, candles in form.candles.items()}


def _check_candle(house: House, symbol: str, prices: tuple[Decimal, Decimal, Decimal, Decimal]) -> None:
    for price in prices:
        _check_price(house, symbol, price)
    opened, high, low, closed = prices
    if not low <= min(opened, closed) or not max(opened, closed) <= high:
        raise SettingsError(f"the candle of {symbol} is none: open and close must lie between low and high")


def _set_price(house: House, body: str) -> Any:
    form = read(body, _PriceForm, ACTIONS["POST /paper/v1/prices"].example)
    _check_price(house, form.symbol, form.price)
    house.desk.prices.pin(form.symbol, form.price)
    house.desk.sweep()
    return {"symbol": form.symbol, "markPrice": plain(form.price, 8)}


def _delete_keys(house: House, _body: str) -> Any:
    """As DELETE /fapi/v1/listenKey: streams of the keys close, no listenKeyExpired is told, PUT answers -1125."""
    house.listen_keys.stop(None)
    return {}


def _expire_keys(house: House, _body: str) -> Any:
    """As sixty minutes without a sign of life: listenKeyExpired is told within a tick, sockets stay open."""
    house.listen_keys.run_out(house.clock())
    return {}


def _liquidate(house: House, body: str) -> Any:
    form = read(body, _LiquidationForm, ACTIONS["POST /paper/v1/liquidate"].example)
    if not form.fraction.is_finite() or not 0 < form.fraction <= 1:
        raise SettingsError('fraction must be above 0 and at most 1, e.g. "0.5"')
    before = _held(house, form)
    house.desk.liquidate(before, fraction=form.fraction, adl=form.adl)
    after = house.desk.ledger.position(before.symbol, before.position_side)
    if after == before:
        raise SettingsError(
            f"fraction {form.fraction} of {before.amount} {before.symbol} is less than a step"
        )
    order = next(house.desk.ledger.latest_orders(before.symbol))
    return {"orderId": order.order_id, "clientOrderId": order.client_id} | account_views.risk_v3(
        house.desk, after
    )


def _held(house: House, form: _LiquidationForm) -> Position:
    held = [
        position
        for position in house.desk.ledger.positions.values()
        if position.amount
        and position.symbol == form.symbol
        and form.position_side in {None, position.position_side}
    ]
    if len(held) != 1:
        raise SettingsError(
            f"{form.symbol} has {len(held)} such positions: name one by symbol and position_side"
        )
    return held[0]


def _set_clock(house: House, body: str) -> Any:
    form = read(body, _ClockForm, ACTIONS["POST /paper/v1/clock"].example)
    if abs(form.offset_ms) > _LARGEST_OFFSET_MS:
        raise SettingsError(f"offset_ms must lie between -{_LARGEST_OFFSET_MS} and {_LARGEST_OFFSET_MS}")
    house.clock.offset = form.offset_ms
    house.late.run_due()
    return {"offset_ms": form.offset_ms, "serverTime": house.clock()}


def _set_settings(house: House, body: str) -> Any:
    form = read(body, _SettingsForm, ACTIONS["POST /paper/v1/settings"].example)
    desk = house.desk
    desk.settings = replace(desk.settings, **msgspec.to_builtins(form))
    house.limits.enforced = desk.settings.limits == "real"
    return switches(desk.settings)


def switches(settings: PaperSettings) -> dict[str, Any]:
    """The settings that may change at runtime, as they are."""
    names = set(_SettingsForm.__struct_fields__)
    return {field.name: getattr(settings, field.name) for field in fields(settings) if field.name in names}


def read(body: str, form: type[_Form], example: str) -> _Form:
    """The body as a form; SettingsError shows a body that would be understood."""
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.MsgspecError as error:
        raise SettingsError(f"the body is not understood ({error}): send JSON like {example}") from error


ACTIONS: dict[str, Action] = {
    "POST /paper/v1/positions": Action(
        "a position exists from now on, a day old, without order or trade",
        _seed,
        '{"symbol": "ETHUSDT", "amount": "0.5", "entry_price": "2400"}',
    ),
    "POST /paper/v1/prices": Action(
        "the mark price is set; resting and conditional orders that it reaches act at once",
        _set_price,
        '{"symbol": "ETHUSDT", "price": "2500"}',
    ),
    "POST /paper/v1/candles": Action(
        "minutes have gone by with these candles (open, high, low, close), though the clock stands: what was before moves "
        "back, the mark price is the last close and told at once",
        _pass_minutes,
        '{"candles": {"ETHUSDT": [["2400", "2410", "2395", "2405"]]}}',
    ),
    "POST /paper/v1/listen-key/delete": Action(
        "every listen key is deleted, as if by another program; sockets that listen to nothing else close", _delete_keys
    ),
    "POST /paper/v1/listen-key/expire": Action(
        "every listen key runs out; listenKeyExpired is told and sockets stay open", _expire_keys
    ),
    "POST /paper/v1/liquidate": Action(
        "the venue closes a position, or a `fraction` of it, by liquidation or `adl`",
        _liquidate,
        '{"symbol": "ETHUSDT", "position_side": "BOTH", "adl": false, "fraction": "1"}',
    ),
    "POST /paper/v1/clock": Action(
        "the exchange's clock is set off by so many ms, up to a day either way", _set_clock, '{"offset_ms": -1500}'
    ),
    "POST /paper/v1/settings": Action(
        "switches of the running exchange are set; those not named stay, and all are shown",
        _set_settings,
        '{"oversize_market": "expire", "limits": "real"}',
    ),
}  # fmt: skip
"""Route to action. Every one is done when it is answered."""
