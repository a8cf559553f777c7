"""The one table of faults: each with what it does, where it acts when nothing else is asked, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from sureclose.paper import answers
from sureclose.paper.answers import Shape

ORDER_ROUTES = frozenset(
    {"POST /fapi/v1/order", "POST /fapi/v1/batchOrders", "order.place"},
)
_ORDER_READS = frozenset({"GET /fapi/v1/order", "GET /fapi/v1/openOrder", "order.status"})
_LISTS = frozenset({"GET /fapi/v1/allOrders", "GET /fapi/v1/userTrades"})
_POSITION_READS = frozenset(
    {"GET /fapi/v2/positionRisk", "GET /fapi/v3/positionRisk", "account.position", "v2/account.position"}
)
USER_EVENT = "user event"
_USER_EVENTS = frozenset({USER_EVENT})
_HALF = Decimal("0.5")


class When(Enum):
    """At which point a fault is asked for. A request meets at most one BEFORE and one AFTER."""

    BEFORE = "in place of the execution"
    ADMITTED = "once key, signature and window are found right"
    INSIDE = "during the execution"
    AFTER = "on the answer to what was executed"
    EVENT = "on a user event"


@dataclass(frozen=True, slots=True)
class Kind:
    """`places` are the routes where the fault acts when `match` names none.

    A lasting fault stays until it is cleared, unless a `count` is given; another strikes once. `takes` are the
    parameters that only this kind has; `ms`, `fraction` and each name in `match` are as here when they are not given.
    """

    meaning: str
    places: frozenset[str]
    when: When
    shape: Shape = answers.AS_IT_IS
    lasting: bool = False
    takes: frozenset[str] = frozenset()
    ms: int = 0
    fraction: Decimal = _HALF
    match: Mapping[str, str] = field(default_factory=dict)


def _after(meaning: str, shape: Shape, *, ms: int = 0) -> Kind:
    return Kind(f"executed; {meaning}", ORDER_ROUTES, When.AFTER, shape, ms=ms)


def _instead(meaning: str, shape: Shape) -> Kind:
    return Kind(f"nothing is executed; {meaning}", ORDER_ROUTES, When.BEFORE, shape)


def _inside(
    meaning: str, places: frozenset[str], *, lasting: bool = False, takes: str = "", ms: int = 0
) -> Kind:
    own = frozenset(takes.split())
    return Kind(meaning, places, When.INSIDE, lasting=lasting, takes=own, ms=ms)


def _event(meaning: str, *, lasting: bool = False, ms: int = 0) -> Kind:
    return Kind(meaning, _USER_EVENTS, When.EVENT, lasting=lasting, ms=ms)


_TWINS: dict[str, tuple[str, Shape]] = {
    "unknown_503": (
        "answered 503 'Unknown error, please check your request or try again later.'",
        answers.UNKNOWN_503,
    ),
    "unavailable_503": ("answered 503 'Service Unavailable.', no JSON", answers.UNAVAILABLE_503),
    "internal_503": ("answered 503 with -1001", answers.INTERNAL_503),
    "throttled_503": ("answered 503 with -1008", answers.THROTTLED_503),
    "timeout_408": ("answered 408 without a body", answers.EMPTY_408),
    "timeout_1007": ("answered 408 with -1007", answers.TIMEOUT_1007),
    "answer_html": ("answered 502 with an HTML page", answers.HTML_502),
    "answer_cut": (
        "status line, headers and half of the body come, then the connection is reset",
        answers.CUT,
    ),
}  # fmt: skip
"""Answers that come with and, as NAME_not_executed, without execution."""

KINDS: dict[str, Kind] = {
    "request_dropped": _instead("the connection closes without an answer", answers.DROPPED),
    "answer_dropped": _after("the connection closes without an answer", answers.DROPPED),
    "answer_delayed": _after("the answer waits `ms`", answers.AS_IT_IS),
    **{name: _after(*how) for name, how in _TWINS.items()},
    **{f"{name}_not_executed": _instead(*how) for name, how in _TWINS.items()},
    "unexpected_1006": _after("answered 500 with -1006", answers.UNEXPECTED_1006),
    "answer_then_cut": _after("the whole answer comes, then the connection is reset", answers.THEN_CUT),
    "answer_truncated": _after("well-formed HTTP with half of the JSON", answers.TRUNCATED),
    "answer_slow": _after("the answer trickles out over `ms`", answers.SLOW, ms=1_000),
    "answer_html_ok": _after("answered 200 with an HTML page", answers.HTML_200),
    "execution_delayed": Kind(
        "answered as unknown_503 at once (`answer`: hang_up closes the connection); executed when venue time is "
        "timestamp + recvWindow - `until_deadline_ms`, or `ms` after arrival, if that is still inside the window",
        ORDER_ROUTES, When.ADMITTED, answers.UNKNOWN_503, takes=frozenset({"until_deadline_ms", "answer"}),
    ),
    "refused": Kind("nothing is executed; refused with `code`", ORDER_ROUTES, When.BEFORE, takes=frozenset({"code"})),
    "rate_limited": Kind(
        "nothing is executed; answered 429 with -1003 and Retry-After, the seconds of `ms`",
        ORDER_ROUTES, When.BEFORE, ms=1_000,
    ),
    "banned": Kind(
        "nothing is executed; answered 418 with -1003, banned for `ms`, and Retry-After",
        ORDER_ROUTES, When.BEFORE, ms=120_000,
    ),
    "blocked_by_resting": _inside(
        "a reducing order is refused with `code` (-4118 or -2022) while another reducing order of its symbol and side "
        "rests, or a conditional order of its symbol waits",
        ORDER_ROUTES, lasting=True, takes="code",
    ),
    "market_rejected": _inside("a MARKET order is refused with -4131", ORDER_ROUTES, lasting=True),
    "partial_fill": _inside(
        "a MARKET order fills `fraction` of its quantity, then EXPIRED with reason 9", ORDER_ROUTES
    ),
    "liquidated": Kind(
        "the venue closes `fraction` of the position, by liquidation or `adl`, just before the order is executed",
        ORDER_ROUTES, When.INSIDE, takes=frozenset({"adl"}), fraction=Decimal(1),
    ),
    "read_lag": _inside("a query doesn't find an order until `ms` after its acceptance (-2013)", _ORDER_READS, lasting=True),
    "position_lag": _inside("position reads show the state of `ms` ago", _POSITION_READS, lasting=True),
    "list_lag": _inside("allOrders and userTrades don't show what is younger than `ms`", _LISTS, lasting=True, ms=1_000),
    "stream_silent": _event("user events are lost, for `ms` and/or `count` of them", lasting=True),
    "stream_late": _event("a user event comes `ms` later; those of its type stay in order", lasting=True, ms=1_000),
    "stream_doubled": _event("a user event comes twice", lasting=True),
    "stream_reordered": Kind(
        "an ORDER_TRADE_UPDATE (or the event that `match` names) comes after the next event of another type that is no "
        "TRADE_LITE, or after `ms`; those of its type stay in order",
        _USER_EVENTS, When.EVENT, ms=1_000, match={"event": "ORDER_TRADE_UPDATE"},
    ),
    "stream_cut": _event("the sockets that would hear a user event are closed without a close frame; the event is lost"),
}  # fmt: skip
