"""One request on its way to an operation, whichever door it came in by."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sureclose.paper.clock import VenueClock
from sureclose.paper.desk import Desk
from sureclose.paper.faults import Fault, Faults
from sureclose.paper.late import Latecomers
from sureclose.paper.limits import Limits
from sureclose.paper.listen_keys import ListenKeys
from sureclose.paper.params import Params

Record = dict[str, Any]
_REMEMBERED = 20_000
_NOTED = frozenset(
    {
        *(f"{method} /fapi/v1/order" for method in ("POST", "GET", "PUT", "DELETE")),
        *(f"{method} /fapi/v1/batchOrders" for method in ("POST", "DELETE")),
        *(f"{method} /fapi/v1/algoOrder" for method in ("POST", "GET", "DELETE")),
        *(f"DELETE /fapi/v1/{what}" for what in ("allOpenOrders", "algoOpenOrders")),
        *(f"order.{what}" for what in ("place", "modify", "cancel", "status")),
        *(f"algoOrder.{what}" for what in ("place", "cancel")),
    }
)


@dataclass(slots=True)
class House:
    """All that lives as long as the exchange runs."""

    desk: Desk
    faults: Faults
    limits: Limits
    listen_keys: ListenKeys
    api_key: str
    api_secret: str
    clock: VenueClock
    late: Latecomers
    tell_marks: Callable[[], None] = lambda: None
    """Tells the mark prices on the market streams at once, not only when their second has come."""
    requests: deque[Record] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def note(self, call: "Call", status: int, code: int, received_ns: int) -> Record:
        """Remember a request about orders, or one that a fault struck, as it came in, without its signature.

        `status` and `code` are those of its execution, whatever faults then made of the answer. `fault` is the first
        that struck, `faults` are all; `later` says what became of an execution that was put off.
        """
        if call.route not in _NOTED and not call.struck:
            return {}
        method, _, path = call.route.rpartition(" ")
        record = {
            "time": received_ns // 1_000_000,
            "received_ns": received_ns,
            "method": method or "WS",
            "path": path,
            "params": call.params.as_dict(),
            "status": status,
            "code": code,
            "fault": call.struck[0] if call.struck else None,
            "faults": call.struck,
            "later": None,
        }
        self.requests.append(record)
        return record


@dataclass(slots=True)
class Call:
    """`route` is "METHOD /path", or the method name of the WebSocket API; `now` in ms; `struck` names the faults."""

    house: House
    route: str
    params: Params
    ip: str
    now: int
    struck: list[str] = field(default_factory=list)

    @property
    def desk(self) -> Desk:
        return self.house.desk

    def strikes(self, name: str, params: Params | None = None) -> Fault | None:
        """The armed fault `name` that acts on this call, or on the part of it that `params` says."""
        faults = self.house.faults
        if not faults:
            return None
        fault = faults.strikes(name, self.route, (params or self.params).as_dict(), self.now)
        if fault is not None:
            self.struck.append(name)
        return fault


class Security(Enum):
    """What a request must prove: nothing, to know the key, or to have signed."""

    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


Operation = Callable[[Call], Any]
Weight = int | Callable[[Params], int]


@dataclass(frozen=True, slots=True)
class Route:
    """An operation with its price: IP weight and what it takes from the order limits."""

    operation: Operation
    security: Security
    weight: Weight = 1
    orders_10s: int = 0
    orders_1m: int = 0

    def weigh(self, params: Params) -> int:
        return self.weight if isinstance(self.weight, int) else self.weight(params)


def weighed(symbol: int, everything: int) -> Callable[[Params], int]:
    """One weight with a symbol, another for all of them."""
    return lambda params: symbol if params.has("symbol") else everything
