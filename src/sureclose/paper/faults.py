"""Faults on demand: one table of names, each with what it does and where it applies."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from sureclose.paper.settings import SettingsError

ORDER_ROUTES = frozenset(
    {"POST /fapi/v1/order", "POST /fapi/v1/batchOrders", "order.place"},
)
_ORDER_READS = frozenset({"GET /fapi/v1/order", "GET /fapi/v1/openOrder", "order.status"})
_POSITION_READS = frozenset(
    {"GET /fapi/v2/positionRisk", "GET /fapi/v3/positionRisk", "account.position", "v2/account.position"}
)
_USER_EVENTS = frozenset({"user event"})


@dataclass(frozen=True, slots=True)
class Kind:
    """`places` are the routes where the fault acts when `match` names none."""

    meaning: str
    places: frozenset[str]


KINDS: dict[str, Kind] = {
    "answer_delayed": Kind("executed at once; the answer waits `ms`", ORDER_ROUTES),
    "answer_dropped": Kind("executed; the connection closes without an answer", ORDER_ROUTES),
    "request_dropped": Kind("the connection closes, nothing is executed", ORDER_ROUTES),
    "unknown_503": Kind("executed; answered 503 'Unknown error, please check your request or try again later.'", ORDER_ROUTES),
    "unknown_503_not_executed": Kind("answered as unknown_503, nothing is executed", ORDER_ROUTES),
    "stream_silent": Kind("user events are lost, for `ms` and/or `count` of them", _USER_EVENTS),
    "read_lag": Kind("a query doesn't find an order until `ms` after its acceptance (-2013)", _ORDER_READS),
    "position_lag": Kind("position reads show the state of `ms` ago", _POSITION_READS),
    "partial_fill": Kind("a MARKET order fills `fraction` of its quantity, then EXPIRED with reason 9", ORDER_ROUTES),
}  # fmt: skip

_BEFORE = ("request_dropped", "unknown_503_not_executed")
_AFTER = ("answer_dropped", "unknown_503", "answer_delayed")
HANG_UPS = frozenset({"request_dropped", "answer_dropped"})
UNKNOWN_ERROR = "Unknown error, please check your request or try again later."


@dataclass(slots=True)
class Fault:
    """One armed fault.

    `count` is how often it still strikes (None: until cleared), `skip` how many chances it lets pass first, `ms`
    its duration. `match` narrows it to requests whose parameters equal the given strings; the names `path`,
    `method` (HTTP) and `route` ("GET /fapi/v1/order", "order.place", "*") select where it acts.
    """

    fault: str
    count: int | None = 1
    ms: int = 0
    skip: int = 0
    fraction: Decimal = Decimal("0.5")
    match: Mapping[str, str] = field(default_factory=dict)
    armed_at: int = 0
    struck: int = 0

    def fits(self, route: str, values: Mapping[str, str]) -> bool:
        method, _, path = route.rpartition(" ")
        places = self.match.get("route")
        if places is None and not ({"path", "method"} & self.match.keys()):
            if route not in KINDS[self.fault].places:
                return False
        elif places not in {None, "*", route}:
            return False
        known = {**values, "path": path, "method": method}
        return all(known.get(name) == value for name, value in self.match.items() if name != "route")


class Faults:
    """The armed faults. Each chance asks once; a fault that strikes counts down and leaves at zero."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []

    def __bool__(self) -> bool:
        return bool(self._armed)

    def arm(self, request: Mapping[str, Any], now: int) -> Fault:
        fault = parse(request)
        fault.armed_at = now
        self._armed.append(fault)
        return fault

    def clear(self) -> None:
        self._armed.clear()

    def strikes(self, name: str, route: str, values: Mapping[str, str], now: int) -> Fault | None:
        """The armed fault `name` that acts on this request, counted as having acted."""
        if not self._armed:
            return None
        for fault in self._armed:
            if fault.fault != name or not fault.fits(route, values):
                continue
            if name == "stream_silent" and fault.ms and now >= fault.armed_at + fault.ms:
                self._armed.remove(fault)
                return None
            if fault.skip:
                fault.skip -= 1
                continue
            fault.struck += 1
            if fault.count is not None:
                fault.count -= 1
                if not fault.count:
                    self._armed.remove(fault)
            return fault
        return None

    def strike_before(self, route: str, values: Mapping[str, str], now: int) -> Fault | None:
        """The fault that takes a request away before anything is executed."""
        return self._first(_BEFORE, route, values, now) if self._armed else None

    def strike_after(self, route: str, values: Mapping[str, str], now: int) -> Fault | None:
        """The fault that changes the answer to what was executed."""
        return self._first(_AFTER, route, values, now) if self._armed else None

    def _first(self, names: tuple[str, ...], route: str, values: Mapping[str, str], now: int) -> Fault | None:
        return next((found for name in names if (found := self.strikes(name, route, values, now))), None)

    def as_dict(self) -> dict[str, Any]:
        return {
            "armed": [{**asdict(fault), "fraction": f"{fault.fraction:f}"} for fault in self._armed],
            "known": {name: kind.meaning for name, kind in KINDS.items()},
        }


def parse(request: Mapping[str, Any]) -> Fault:
    """A fault from the control API's JSON. A fault with `ms` but without `count` lasts until cleared or over."""
    name = request.get("fault")
    if not isinstance(name, str) or name not in KINDS:
        raise SettingsError(f"fault {name!r} is unknown; the faults are: {', '.join(sorted(KINDS))}")
    unknown = request.keys() - {"fault", "count", "ms", "skip", "fraction", "match"}
    if unknown:
        raise SettingsError(
            f"{', '.join(sorted(unknown))} is no part of a fault: use count, ms, skip, fraction, match"
        )
    lasting = name in {"stream_silent", "read_lag", "position_lag"}
    count = request.get("count", None if lasting else 1)
    if count is not None:
        count = _whole(count, "count", least=1)
    match = request.get("match", {})
    if not isinstance(match, dict) or not all(isinstance(value, str) for value in match.values()):
        raise SettingsError('match must be an object of strings, e.g. {"symbol": "BTCUSDT"}')
    fraction = request.get("fraction", "0.5")
    try:
        share = Decimal(fraction if isinstance(fraction, str) else str(fraction))
    except ArithmeticError as error:
        raise SettingsError('fraction must be a number from 0 to 1, e.g. "0.5"') from error
    if not 0 <= share <= 1:
        raise SettingsError('fraction must be a number from 0 to 1, e.g. "0.5"')
    return Fault(
        name,
        count,
        _whole(request.get("ms", 0), "ms"),
        _whole(request.get("skip", 0), "skip"),
        share,
        match,
    )


def _whole(value: Any, name: str, *, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SettingsError(f"{name} must be a whole number from {least} up")
    return value
