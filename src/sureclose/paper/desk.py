"""The trading desk: the one place where something happens to the account. Synchronous, hence atomic."""

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from sureclose.paper import conditionals, liquidation, margin, matching
from sureclose.paper.admission import OrderRequest, check_price, check_quantity, read_order
from sureclose.paper.candles import Candles
from sureclose.paper.errors import VenueError
from sureclose.paper.events import Event, Narrator
from sureclose.paper.factfile import FactFile
from sureclose.paper.facts import (
    AlgoMoved,
    AlgoOrder,
    AlgoPlaced,
    Amended,
    AnyFact,
    Ended,
    Founded,
    Order,
    Seeded,
)
from sureclose.paper.ledger import Ledger, is_remembered
from sureclose.paper.params import Params
from sureclose.paper.positions import Position
from sureclose.paper.prices import Prices
from sureclose.paper.settings import PaperSettings, SeedPosition, SettingsError
from sureclose.paper.symbols import Contract

_DAY_MS = 86_400_000


class Desk:
    """Decides, writes the facts to the file, applies them, tells the streams: in this order, without a pause.

    The clock is in milliseconds. `announce` gets the events of one commit together.
    """

    def __init__(
        self,
        settings: PaperSettings,
        contracts: Mapping[str, Contract],
        prices: Prices,
        clock: Callable[[], int],
        file: FactFile | None = None,
        announce: Callable[[list[Event]], None] | None = None,
    ) -> None:
        self.settings = settings
        self.contracts = contracts
        self.prices = prices
        self.candles = Candles(contracts, prices, clock, settings.seed, settings.price_step_ppm)
        self.clock = clock
        self.ledger = Ledger()
        self.announce = announce
        self._file = file
        self._narrator = Narrator(self.ledger, contracts)
        self._countdowns: dict[str, int] = {}

    # -- the way in for facts

    def replay(self, transactions: Iterable[list[AnyFact]]) -> None:
        """Bring the books back; prices go on from where the records last saw them."""
        for facts in transactions:
            for fact in facts:
                self.ledger.apply(fact)
        for symbol, price in self.ledger.last_prices.items():
            if symbol not in self.contracts:
                raise SettingsError(
                    f"the data file holds {symbol}, which is not listed any more: name a fresh file"
                )
            self.prices.pin(symbol, price)

    def commit(self, facts: list[AnyFact]) -> None:
        """All facts or, if the write fails, none."""
        if not facts:
            return
        if self._file is not None:
            self._file.append(facts)
        now = self.clock()
        events: list[Event] = []
        for fact in facts:
            self.ledger.apply(fact)
            if self.announce is not None:
                events.extend(self._narrator.tell(fact, now))
        if self.announce is not None and events:
            self.announce(events)

    @contextlib.contextmanager
    def at(self, time: int) -> Iterator[None]:
        """What happens inside happens at `time`, ms."""
        clock, self.clock = self.clock, lambda: time
        try:
            yield
        finally:
            self.clock = clock

    # -- what happens

    def contract(self, params: Params) -> Contract:
        contract = self.contracts.get(params.required("symbol"))
        if contract is None:
            raise VenueError(-1121)
        return contract

    def place(self, params: Params) -> tuple[Order, OrderRequest]:
        request = self.read(params)
        return self.execute(request), request

    def read(self, params: Params) -> OrderRequest:
        """An order as it was asked for, well formed; nothing has happened yet."""
        return read_order(params, self.contract(params), self.clock(), dual_side=self.ledger.dual_side)

    def execute(self, request: OrderRequest, fill_share: Decimal = Decimal(1)) -> Order:
        client_id = _client_id(request)
        facts = matching.place(request, client_id, self._market(request.contract.symbol), fill_share)
        self.commit(facts)
        order = self.ledger.find(request.contract.symbol, None, client_id)
        assert order is not None
        return order

    def test(self, params: Params) -> None:
        """POST /fapi/v1/order/test: every refusal, no effect."""
        request = self.read(params)
        matching.check(request, _client_id(request), self._market(request.contract.symbol))

    def cancel(self, order: Order) -> Order:
        if not order.is_open:
            raise VenueError(-2011)
        self.commit([Ended(order.order_id, "CANCELED", "0", self.clock())])
        return order

    def cancel_all(self, symbol: str) -> None:
        now = self.clock()
        self.commit([Ended(order.order_id, "CANCELED", "0", now) for order in self.ledger.open_of(symbol)])

    def amend(self, order: Order, params: Params) -> Order:
        """PUT /fapi/v1/order: price and quantity of a resting LIMIT order."""
        contract = self.contracts[order.symbol]
        quantity, price = params.required_number("quantity"), params.required_number("price")
        if params.required_choice("side", {"BUY", "SELL"}, -1117) != order.side:
            raise VenueError(-1130, name="side")
        check_quantity(quantity, contract, market=False)
        check_price(price, contract)
        if not order.is_open:
            raise VenueError(-2013)
        if quantity.value <= order.executed:
            raise VenueError(-4003)
        if (quantity.value, price.value) == (order.quantity, order.price):
            raise VenueError(-5027)
        if order.reduce_only and quantity.value > order.quantity:
            raise VenueError(-4118)
        self.commit([Amended(order.order_id, quantity.value, price.value, self.clock())])
        self.sweep()
        return order

    def order(self, params: Params) -> Order | None:
        """The order that `orderId` or `origClientOrderId` names, if it is still remembered."""
        contract = self.contract(params)
        order_id = params.integer("orderId")
        client_id = params.text("origClientOrderId")
        if order_id is None and client_id is None:
            raise VenueError(-1102, name="orderId")
        order = self.ledger.find(contract.symbol, order_id, client_id)
        return order if order is not None and is_remembered(order, self.clock()) else None

    def place_algo(self, params: Params) -> AlgoOrder:
        contract = self.contract(params)
        algo = conditionals.read(params, contract, self._market(contract.symbol))
        self.commit([AlgoPlaced(algo)])
        return algo

    def cancel_algos(self, algos: Iterable[AlgoOrder]) -> None:
        now = self.clock()
        self.commit([AlgoMoved(algo.algo_id, "CANCELED", now) for algo in algos])

    def algo(self, params: Params) -> AlgoOrder | None:
        """The conditional order that `algoId` or `clientAlgoId` names."""
        algo_id, client_id = params.integer("algoId"), params.text("clientAlgoId")
        if algo_id is None and client_id is None:
            raise VenueError(-1102, name="algoId")
        return self.ledger.find_algo(algo_id, client_id)

    def liquidate(self, position: Position, *, fraction: Decimal, adl: bool) -> None:
        """The venue closes `fraction` of a position, by liquidation or by auto-deleveraging."""
        contract, market = self.contracts[position.symbol], self._market(position.symbol)
        self.commit(liquidation.liquidate(position, contract, market, fraction=fraction, adl=adl))

    def count_down(self, symbol: str, delay: int) -> None:
        """Cancel all orders of `symbol` in `delay` ms unless told again; 0 calls it off."""
        self._countdowns.pop(symbol, None)
        if delay:
            self._countdowns[symbol] = self.clock() + delay

    def seed(self, seed: SeedPosition) -> Position:
        """A position a day old, without order or trade; the mark price becomes its entry price."""
        fact = self.seeded(seed)
        if self.ledger.position(fact.symbol, fact.position_side).amount:
            raise SettingsError(f"{seed.symbol} already has a position: close it first")
        self.prices.pin(seed.symbol, seed.entry_price)
        self.commit([fact])
        return self.ledger.position(fact.symbol, fact.position_side)

    def found(self, founded: Founded, seeds: Sequence[SeedPosition]) -> None:
        """The first transaction: keys, balance and every seeded position, or nothing."""
        facts = [self.seeded(seed) for seed in seeds]
        twice = {fact.symbol for fact in facts if sum(other.symbol == fact.symbol for other in facts) > 1}
        if twice:
            raise SettingsError(
                f"more than one position for {', '.join(sorted(twice))}: give each symbol once"
            )
        for fact in facts:
            self.prices.pin(fact.symbol, fact.entry_price)
        self.commit([founded, *facts])

    def seeded(self, seed: SeedPosition) -> Seeded:
        contract = self.contracts.get(seed.symbol)
        if contract is None:
            known = ", ".join(list(self.contracts)[:12])
            raise SettingsError(
                f"symbol {seed.symbol} is not listed: use one of {known}, or list more with --symbols"
            )
        largest = contract.max_quantity * 100
        if not seed.amount.is_finite() or not 0 < abs(seed.amount) <= largest:
            raise SettingsError(f"quantity of {seed.symbol} must not be zero, nor above {largest}")
        if seed.amount % contract.step:
            raise SettingsError(
                f"quantity {seed.amount} of {seed.symbol} is not on its step: use a multiple of {contract.step}"
            )
        least, most = contract.tick * 10, contract.max_price
        if not seed.entry_price.is_finite() or not least <= seed.entry_price <= most:
            raise SettingsError(f"entry price of {seed.symbol} must lie between {least} and {most}")
        side = "BOTH"
        if self.ledger.dual_side:
            side = "LONG" if seed.amount > 0 else "SHORT"
        now = self.clock()
        # No position is older than the last trade of its symbol.
        since = max(now - _DAY_MS, self.ledger.position(seed.symbol, side).update_time)
        return Seeded(now, since, seed.symbol, side, seed.amount, seed.entry_price)

    def sweep_if_needed(self) -> None:
        if self.ledger.open_orders or self.ledger.open_algos:
            self.sweep()

    def sweep(self) -> None:
        """Let time act: fill resting orders that prices reached, trigger conditional ones, expire what is due."""
        now = self.clock()
        for symbol in [symbol for symbol, due in self._countdowns.items() if due <= now]:
            del self._countdowns[symbol]
            self.cancel_all(symbol)
        for order in list(self.ledger.open_orders.values()):
            if order.is_open:
                self.commit(matching.cross(order, self._market(order.symbol)))
        for algo in list(self.ledger.open_algos.values()):
            contract, market = self.contracts[algo.symbol], self._market(algo.symbol)
            self.commit(conditionals.triggered(algo, contract, market))

    def totals(self) -> margin.Totals:
        return margin.totals(self.ledger, self.prices.mark)

    def _market(self, symbol: str) -> matching.Market:
        return matching.Market(
            self.ledger,
            self.prices.quote(symbol),
            self.clock(),
            self.settings,
            lambda: self.totals().available,
        )


def _client_id(request: OrderRequest) -> str:
    return request.client_id or secrets.token_hex(11)
