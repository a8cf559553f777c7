"""What the user data stream says, and how its frames are read. Pure.

Source of the shapes: Binance docs, user data streams, events ORDER_TRADE_UPDATE, ACCOUNT_UPDATE, listenKeyExpired.
"""

from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.market import OrderReport, Trade
from sureclose.domain.words import PositionSide, Side
from sureclose.venue.schemas import ALGO_ENDED, Wire


class Connected(msgspec.Struct, frozen=True):
    """A new connection: nothing that happened before is told again, so take a snapshot now."""

    connection: int


class Disconnected(msgspec.Struct, frozen=True):
    """The connection ended or could not be made; from here on events are lost."""

    reason: str


class KeyExpired(msgspec.Struct, frozen=True):
    """The listen key is gone, by age or by another program; a new one is being made."""


class Silent(msgspec.Struct, frozen=True):
    """Connected and answering pings, but without a data frame for so long. Look elsewhere whether that is true."""

    silent_ms: int


class BrokenFrame(msgspec.Struct, frozen=True):
    """A frame that could not be understood, the ``total``-th so far: an event may be missing."""

    reason: str
    total: int


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to an order; ``trade`` is the fill when it was one. ``event_time`` is venue milliseconds."""

    report: OrderReport
    trade: Trade | None
    execution: str
    event_time: int


class StreamPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position that changed. ``amount`` is signed. It may size an order, it may never prove flat."""

    symbol: str
    position_side: PositionSide
    amount: Decimal
    entry_price: Decimal


class AccountUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The positions that one event of the account changed, and why (``ORDER``, ``FUNDING_FEE``...)."""

    positions: tuple[StreamPosition, ...]
    reason: str
    time: int
    event_time: int


class AlgoUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a conditional order; ``ended`` when it acts no more by itself."""

    symbol: str
    algo_id: int
    ended: bool


StreamEvent = (
    Connected | Disconnected | KeyExpired | Silent | BrokenFrame | OrderUpdate | AccountUpdate | AlgoUpdate
)

FILLS: Final = frozenset({"TRADE", "CALCULATED"})
"""Execution types that move the position: a trade, and a liquidation's execution."""


class _Head(msgspec.Struct, frozen=True):
    e: str = ""
    data: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _Order(Wire, frozen=True, kw_only=True, rename=None):
    s: str
    c: str
    S: Side
    X: str
    x: str
    i: int
    q: Decimal
    z: Decimal
    R: bool
    T: int
    o: str = ""
    ps: PositionSide = PositionSide.BOTH
    l: Decimal = Decimal(0)  # noqa: E741 - the venue's name
    L: Decimal = Decimal(0)
    t: int = 0
    n: Decimal | None = None
    N: str | None = None
    rp: Decimal = Decimal(0)
    er: str = ""


class _OrderEvent(msgspec.Struct, frozen=True):
    E: int
    o: _Order


class _Position(Wire, frozen=True, kw_only=True, rename=None):
    s: str
    pa: Decimal
    ep: Decimal
    ps: PositionSide


class _Algo(msgspec.Struct, frozen=True):
    s: str
    aid: int
    X: str


class _AlgoEvent(msgspec.Struct, frozen=True):
    o: _Algo


class _Account(msgspec.Struct, frozen=True):
    m: str = ""
    P: tuple[_Position, ...] = ()


class _AccountEvent(msgspec.Struct, frozen=True):
    E: int
    T: int
    a: _Account


_head = msgspec.json.Decoder(_Head)
_order_event = msgspec.json.Decoder(_OrderEvent)
_algo_event = msgspec.json.Decoder(_AlgoEvent)
_account_event = msgspec.json.Decoder(_AccountEvent)


def read_frame(frame: bytes | str) -> OrderUpdate | AccountUpdate | AlgoUpdate | KeyExpired | None:
    """One frame, enveloped or bare; ``None`` for what doesn't concern us. Raises ``ValueError`` when it is broken."""
    try:
        head = _head.decode(frame)
        inner: bytes | str | msgspec.Raw = frame
        if not head.e and bytes(head.data):
            inner = head.data
            head = _head.decode(inner)
        if bytes(head.error):
            raise ValueError("the stream answered with an error")
        match head.e:
            case "ORDER_TRADE_UPDATE":
                return _order_update(_order_event.decode(inner))
            case "ACCOUNT_UPDATE":
                return _account_update(_account_event.decode(inner))
            case "ALGO_UPDATE":
                algo = _algo_event.decode(inner).o
                return AlgoUpdate(symbol=algo.s, algo_id=algo.aid, ended=algo.X in ALGO_ENDED)
            case "listenKeyExpired":
                return KeyExpired()
            case _:
                return None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not a frame of the user data stream: {error}") from None


def _order_update(event: _OrderEvent) -> OrderUpdate:
    order = event.o
    report = OrderReport(
        order_id=order.i,
        client_order_id=order.c,
        symbol=order.s,
        side=order.S,
        position_side=order.ps,
        status=order.X,
        order_type=order.o,
        reduce_only=order.R,
        orig_qty=order.q,
        executed_qty=order.z,
        update_time=order.T,
        expiry_reason="" if order.er == "0" else order.er,
    )
    trade = None
    if order.x in FILLS and order.l > 0:
        trade = Trade(
            trade_id=order.t,
            order_id=order.i,
            symbol=order.s,
            side=order.S,
            position_side=order.ps,
            quantity=order.l,
            price=order.L,
            realized_pnl=order.rp,
            commission=order.n or Decimal(0),
            commission_asset=order.N or "",
            time=order.T,
        )
    return OrderUpdate(report=report, trade=trade, execution=order.x, event_time=event.E)


def _account_update(event: _AccountEvent) -> AccountUpdate:
    return AccountUpdate(
        positions=tuple(
            StreamPosition(symbol=row.s, position_side=row.ps, amount=row.pa, entry_price=row.ep)
            for row in event.a.P
        ),
        reason=event.a.m,
        time=event.T,
        event_time=event.E,
    )
