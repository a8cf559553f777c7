"""One request on its way to an operation, whichever door it came in by."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sureclose.paper.desk import Desk
from sureclose.paper.faults import Faults
from sureclose.paper.limits import Limits
from sureclose.paper.listen_keys import ListenKeys
from sureclose.paper.params import Params

_REMEMBERED = 20_000
_NOTED = frozenset(
    {
        *(f"{method} /fapi/v1/order" for method in ("POST", "GET", "PUT", "DELETE")),
        *(f"{method} /fapi/v1/batchOrders" for method in ("POST", "DELETE")),
        *(f"order.{what}" for what in ("place", "modify", "cancel", "status")),
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
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def note(
        self, route: str, params: Params, status: int, code: int, received_ns: int, fault: str | None
    ) -> None:
        """Remember a request about orders as it came in, without its signature.

        `status` and `code` are those of its execution, whatever `fault` then made of the answer.
        """
        if route not in _NOTED:
            return
        method, _, path = route.rpartition(" ")
        self.requests.append(
            {
                "time": received_ns // 1_000_000,
                "received_ns": received_ns,
                "method": method or "WS",
                "path": path,
                "params": params.as_dict(),
                "status": status,
                "code": code,
                "fault": fault,
            }
        )


@dataclass(slots=True)
class Call:
    """`route` is "METHOD /path", or the method name of the WebSocket API; `now` in ms."""

    house: House
    route: str
    params: Params
    ip: str
    now: int

    @property
    def desk(self) -> Desk:
        return self.house.desk


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
