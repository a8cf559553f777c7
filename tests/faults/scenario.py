"""What a scenario is: plain data. ``staging`` plays it, ``judging`` says whether it held."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from tests.acceptance.world import QUICK

ORDER: Final = "POST /fapi/v1/order"
QUERY: Final = "GET /fapi/v1/order"
LIST: Final = "GET /fapi/v1/allOrders"
TRADES: Final = "GET /fapi/v1/userTrades"
POSITIONS: Final = "GET /fapi/v2/positionRisk"
HELD: Final = 136
"""Steps of the position where a scenario names no other number: its half and its quarter are whole."""


# What is done, in its order ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """A fault of the exchange is armed: for the scenario's symbol, or ``everywhere``.

    Of orders it strikes ours, which ask for the RESULT, and not those that ``Foreign`` places.
    ``route`` names the request where it strikes; empty leaves it where the fault itself belongs. ``more`` is the rest
    of its definition. One that has to strike and does not fails the scenario.
    """

    name: str
    route: str = ORDER
    more: Mapping[str, Any] = field(default_factory=dict)
    event: str = ""
    everywhere: bool = False
    must_strike: bool = True

    def request(self, symbol: str) -> dict[str, Any]:
        """For the exchange's control API."""
        match = {} if self.everywhere else {"symbol": symbol}
        if self.route:
            match["route"] = self.route
        if self.route == ORDER:
            match["newOrderRespType"] = "RESULT"
        if self.event:
            match["event"] = self.event
        return {"fault": self.name, "match": match, **self.more}


def fault(name: str, **more: Any) -> Fault:
    """A fault of the order request."""
    return Fault(name, more=more)


def reads(name: str, route: str, **more: Any) -> Fault:
    """A fault of a read. Reads of positions serve all symbols at once, so they are struck everywhere."""
    return Fault(name, route, more, everywhere=route == POSITIONS)


def stream(name: str, event: str = "", *, everywhere: bool = False, **more: Any) -> Fault:
    """A fault of the user data stream, for one kind of event or for all."""
    return Fault(name, "", more, event, everywhere)


class By(Enum):
    """Who asks for a close."""

    DECISION = "an approved decision"
    WISH = "a wish, with its two stages more"
    PERSON = "sureclose close"


@dataclass(frozen=True)
class Ask:
    """A close is asked for, under a name that the ends refer to.

    ``part`` of the position, or at most ``quantity`` steps. ``times`` is how often the same entry is delivered.
    ``expires_ms`` is counted from now. ``seen`` has the decision carry the position that the last ``Look`` saw, and
    ``aged_s`` makes it so many seconds old.
    """

    plan: str = "a"
    part: str = "1"
    quantity: int = 0
    by: By = By.DECISION
    times: int = 1
    side: str = ""
    expires_ms: int = 0
    seen: bool = False
    aged_s: int = 0


@dataclass(frozen=True)
class Look:
    """The position is looked at, as whoever decides does."""


@dataclass(frozen=True)
class Foreign:
    """Somebody else's MARKET order of so many steps: a reduction, or an entry in the position's direction."""

    steps: int
    adds: bool = False
    reduce_only: bool = True


@dataclass(frozen=True)
class Resting:
    """Somebody else's resting order that reduces: LIMIT three percent away, or a conditional one far from its trigger."""

    steps: int
    type: str = "LIMIT"
    close_position: bool = False


@dataclass(frozen=True)
class Put:
    """A position of so many steps appears in the symbol, which is flat: a second side in hedge mode, or a re-opening."""

    steps: int


@dataclass(frozen=True)
class Hedge:
    """The account, which must be flat, is switched to hedge mode or back."""

    on: bool = True


@dataclass(frozen=True)
class Control:
    """An action of the exchange's control API, with the symbol in its body where it is ``about`` one."""

    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    about_symbol: bool = False


@dataclass(frozen=True)
class Until:
    """Wait until the exchange's books show so many orders of ours: ``arrived`` or ``executed``."""

    what: str
    count: int = 1


@dataclass(frozen=True)
class Ended:
    """Wait for the outcome of a plan."""

    plan: str = "a"


@dataclass(frozen=True)
class Elapse:
    """Let time pass, for what only time brings about."""

    ms: int


Step = Fault | Ask | Look | Foreign | Resting | Put | Hedge | Control | Until | Ended | Elapse


# What must hold ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class End:
    """How a plan must end: one of these outcomes, and so many steps filled by its own orders.

    Without ``filled`` the plans of the scenario share its sum among themselves as the moment has it.
    """

    plan: str = "a"
    outcomes: tuple[str, ...] = ("FLAT",)
    filled: int | None = HELD


class Where(Enum):
    """In which company a scenario is played."""

    SHARED = "beside others, each with a symbol of its own; windows of a quarter"
    ALONE = "with an exchange and an executor of its own, because it changes something for all; windows of a quarter"
    PRODUCTION = "with the windows of production"


SHORT: Final = MappingProxyType(QUICK)
LONG: Final[Mapping[str, str]] = MappingProxyType(
    {"VENUE__RECV_WINDOW_MS": "2000", "EXECUTION__MARGIN_MS": "1000", "EXECUTION__SPREAD_MS": "1000"}
)
"""As a configuration without a word about it has them."""


@dataclass(frozen=True)
class Scenario:
    """One sentence about what the venue does, and what must hold at the end.

    ``held`` and ``left`` are signed steps of the position before and after; in hedge mode ``left_short`` is that of the
    SHORT side. ``effective`` is how many orders of ours moved anything, ``None`` where the order of plans decides.
    ``least_sent`` orders at least must have arrived, or the scenario did not show what it says.
    """

    name: str
    kind: str
    steps: tuple[Step, ...]
    ends: tuple[End, ...] = (End(),)
    held: int = HELD
    left: int = 0
    left_short: int | None = None
    effective: int | None = 1
    least_sent: int = 1
    where: Where = Where.SHARED
    market: str = "any"
    exchange: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    patience_s: int = 30

    total: int | None = None
    """Steps that all orders of ours together must have executed, where the ends don't say it or others moved it too."""

    @property
    def filled(self) -> int:
        """Steps that all orders of ours together must have executed."""
        if self.total is not None:
            return self.total
        known = [end.filled for end in self.ends if end.filled is not None]
        return sum(known) if len(known) == len(self.ends) else abs(self.held) - abs(self.left)

    @property
    def windows(self) -> Mapping[str, str]:
        return LONG if self.where is Where.PRODUCTION else SHORT
