"""An order on the wire and the judgement of its answer. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from sureclose.domain.ids import plain
from sureclose.domain.market import OrderReport, Refusal
from sureclose.domain.words import PositionSide
from sureclose.venue.errors import Unanswered, classify, read_body
from sureclose.venue.limits import retry_after_ms
from sureclose.venue.port import ReducingOrder
from sureclose.venue.schemas import OrderRow

_row = msgspec.json.Decoder(OrderRow)
_NO_HEADERS: Final[Mapping[str, str]] = {}


def parameters(order: ReducingOrder) -> list[tuple[str, str]]:
    """The parameters of POST /fapi/v1/order; there is no way through here to one that doesn't reduce.

    In one-way mode ``reduceOnly`` makes it so; in hedge mode the venue refuses that parameter, and the side against
    ``positionSide``, which ``ReducingOrder`` enforces, makes it so (Binance docs, new order).
    """
    reducing = [("reduceOnly", "true")] if order.position_side is PositionSide.BOTH else []
    if order.limit_price is None:
        kind = [("type", "MARKET"), ("quantity", plain(order.quantity))]
    else:
        kind = [
            ("type", "LIMIT"),
            ("timeInForce", "IOC"),
            ("quantity", plain(order.quantity)),
            ("price", plain(order.limit_price)),
        ]
    return [
        ("symbol", order.symbol),
        ("side", order.side.value),
        ("positionSide", order.position_side.value),
        *kind,
        *reducing,
        ("newClientOrderId", order.client_order_id),
        ("newOrderRespType", "RESULT"),
        ("recvWindow", str(order.recv_window)),
        ("timestamp", str(order.timestamp)),
    ]


def judge(
    order: ReducingOrder,
    http_status: int,
    body: bytes,
    headers: Mapping[str, str] = _NO_HEADERS,
    now: int | None = None,
) -> OrderReport | Refusal | Unanswered:
    """What an answer says of the order it answers. ``now`` is venue milliseconds."""
    if not 200 <= http_status < 300:
        error = read_body(body)
        return classify(
            http_status, error.code, error.message, retry_after_ms=retry_after_ms(headers), now=now
        )
    try:
        report = _row.decode(body).report()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Unanswered(reason=f"HTTP {http_status} with an unreadable body", http_status=http_status)
    if report.client_order_id != order.client_order_id:
        return Unanswered(reason="the answer is about another client order id", http_status=http_status)
    if report.symbol != order.symbol or report.side is not order.side:
        return Unanswered(reason="the answer is about another symbol or side", http_status=http_status)
    return report
