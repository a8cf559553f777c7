"""How an incident is played: many at once, each on a symbol of its own, and what they look at.

``shared`` and ``alone`` turn a play into a test that waits for it; ``conftest`` sets all chosen ones under way together.
"""

import json
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.acceptance.world import PREFIX, Exchange, Fields, Held, Records, World, decision, now_ms, token
from tests.faults.watching import Result, Watch

ORDER: Final = "/fapi/v1/order"
REACH: Final = Decimal("0.03")
"""How far from the mark price resting orders wait: inside the band, out of reach of a price that hardly moves."""

Request = dict[str, Any]


class Stage:
    """One incident's view of a deployment: what it opened and asked for, and what became of it."""

    def __init__(self, world: World, watch: Watch, folder: Path) -> None:
        self.world = world
        self.watch = watch
        self.folder = folder
        self.symbols: list[str] = []
        self.plans: list[str] = []

    @property
    def venue(self) -> Exchange:
        return self.world.exchange

    # What is there -------------------------------------------------------------------------------------------------

    async def open(self, steps: int = 136, *, tradable: bool = True) -> Held:
        """A position of so many steps in a symbol of its own; a tradable one is worth enough for others' orders."""
        held = await self.venue.open(steps, tradable=tradable)
        self.symbols.append(held.symbol)
        return held

    def flat(self) -> str:
        """A listed symbol without a position."""
        symbol = self.venue.unused()
        self.symbols.append(symbol)
        return symbol

    async def decide(self, held: Held | str, plan_id: str = "", **fields: str) -> str:
        """An approved decision to close; its plan."""
        plan_id = plan_id or token()
        self.plans.append(plan_id)
        await self.world.log.add("apply.result", decision(held, plan_id, **fields))
        return plan_id

    async def wish(self, symbol: str, action: str = "CLOSE", **fields: str) -> str:
        """An intent; the plan that it became."""
        wish = {"symbol": symbol, "action": action, "timestamp": str(now_ms()), **fields}
        plan_id = await self.world.log.plan_of(await self.world.log.add("harvest.intent", wish))
        self.plans.append(plan_id)
        return plan_id

    async def rest(self, held: Held, client_id: str = "", **more: str) -> str:
        """Somebody's resting reduce-only LIMIT order over the whole position; its client order id."""
        away = 1 + REACH if held.amount > 0 else 1 - REACH
        client_id = client_id or f"web-{token()}"
        order = {
            "symbol": held.symbol,
            "side": held.closing_side,
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": f"{abs(held.amount):f}",
            "price": f"{await self.price(held.symbol, away):f}",
            "reduceOnly": "true",
            "newClientOrderId": client_id,
        }
        order |= more
        await self.venue.signed("POST", ORDER, **{name: text for name, text in order.items() if text})
        return client_id

    async def stop(self, held: Held, **more: str) -> str:
        """Somebody's conditional order that closes the position below (of a short: above) it; its client id."""
        away = 1 - REACH if held.amount > 0 else 1 + REACH
        client_id = f"web-{token()}"
        order = {
            "algoType": "CONDITIONAL",
            "symbol": held.symbol,
            "side": held.closing_side,
            "type": "STOP_MARKET",
            "triggerPrice": f"{await self.price(held.symbol, away):f}",
            "closePosition": "true",
            "clientAlgoId": client_id,
        }
        await self.venue.signed("POST", "/fapi/v1/algoOrder", **order, **more)
        return client_id

    async def price(self, symbol: str, factor: Decimal = Decimal(1)) -> Decimal:
        """The mark price times that, on a tick."""
        found = await self.venue._json("GET", f"/fapi/v1/premiumIndex?symbol={symbol}")
        wanted = Decimal(found["markPrice"]) * factor
        tick = Decimal(1).scaleb(wanted.adjusted() - 2)
        return (wanted / tick).to_integral_value() * tick

    async def control(self, path: str, **body: Any) -> Any:
        """An action of the exchange's control API."""
        return await self.venue._json("POST", f"/paper/v1/{path}", body)

    # What became of it ---------------------------------------------------------------------------------------------

    async def outcome(self, plan_id: str, seconds: float = 30.0) -> Fields:
        """The one outcome of the plan, once it is there."""
        found: Result = await self.watch.outcome(plan_id, seconds)
        assert len(self.watch.results(plan_id)) == 1
        return found.fields

    def facts(self, plan_id: str, kind: str) -> list[dict[str, Any]]:
        """The plan's journal: its facts of that kind."""
        return [fact for fact in self.watch.facts(plan_id) if fact["fact"] == kind]

    async def books(self) -> Records:
        return await self.watch.books()

    async def sent(self, symbol: str) -> list[Request]:
        """The orders that we asked for, as they came in."""
        return sent(await self.books(), symbol)

    async def arrived(self, symbol: str, count: int = 1) -> None:
        """Wait until so many orders of ours came in."""
        await self.watch.until(
            f"{count} orders for {symbol} arrive", lambda books: len(sent(books, symbol)) >= count, 30.0
        )

    async def told(self) -> str:
        """All that a person needs to find the mistake: results, journal, and the exchange's records."""
        raw = (await self.venue.records())._books
        lines = [f"symbols {self.symbols} plans {self.plans}"]
        for plan_id in self.plans:
            lines += [f"  result: {result}" for result in self.watch.results(plan_id)]
            lines += [f"  journal: {json.dumps(fact)}" for fact in self.watch.facts(plan_id)]
        for name in ("requests", "orders", "algo_orders", "trades", "positions"):
            for one in raw[name]:
                symbol = one["symbol"] if "symbol" in one else one["params"].get("symbol")
                if symbol in self.symbols:
                    lines.append(f"  {name}: {json.dumps(one)}")
        lines += [f"  log of the run: {run.err}" for run in self.world.runs]
        return "\n".join(lines)


def sent(books: Records, symbol: str) -> list[Request]:
    """The requests to place an order that carry an id of ours."""
    return [
        request
        for request in books.placements(symbol)
        if request["path"] == ORDER and request["params"].get("newClientOrderId", "").startswith(PREFIX)
    ]


def effect(books: Records, held: Held) -> Decimal:
    """What orders of ours executed, all of it reducing; every id was used once."""
    own = books.orders(held.symbol)
    assert all(order["reduceOnly"] and order["side"] == held.closing_side for order in own), own
    ids = [request["params"]["newClientOrderId"] for request in sent(books, held.symbol)]
    assert len(ids) == len(set(ids)), f"a client order id was used twice: {ids}"
    return sum((Decimal(order["executedQty"]) for order in own), Decimal(0))


# Plays ---------------------------------------------------------------------------------------------------------------

SharedPlay = Callable[[Stage], Coroutine[None, None, None]]
AlonePlay = Callable[[str, Path], Coroutine[None, None, None]]
Test = Callable[[Awaitable[None]], Coroutine[None, None, None]]


class Play(NamedTuple):
    """What a test waits for: with others on one deployment, or with a log's address and a folder of its own."""

    shared: SharedPlay | None = None
    alone: AlonePlay | None = None


PLAYS: Final[dict[object, Play]] = {}
"""By the function of the test."""


def shared(play: SharedPlay) -> Test:
    """Played beside others: nothing that it does may touch another symbol."""
    return _test(play, Play(shared=play))


def alone(play: AlonePlay) -> Test:
    """Played with processes of its own, because it changes something for all."""
    return _test(play, Play(alone=play))


def _test(function: SharedPlay | AlonePlay, play: Play) -> Test:
    async def test(under_way: Awaitable[None]) -> None:
        await under_way

    test.__name__, test.__doc__ = function.__name__, function.__doc__
    test.__qualname__, test.__module__ = function.__qualname__, function.__module__
    PLAYS[test] = play
    return test
