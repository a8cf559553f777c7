"""A desk without a network, on a clock that stands until it is moved."""

from decimal import Decimal
from typing import Any

from sureclose.paper.desk import Desk
from sureclose.paper.errors import VenueError
from sureclose.paper.events import Event
from sureclose.paper.facts import Order
from sureclose.paper.params import Params
from sureclose.paper.prices import Prices
from sureclose.paper.settings import PaperSettings, SeedPosition
from sureclose.paper.symbols import catalogue

START = 1_790_000_000_000


class Pure:
    def __init__(self, **settings: Any) -> None:
        self.now = START
        self.events: list[Event] = []
        chosen = PaperSettings(price_step_ppm=0, **settings)
        contracts = catalogue(chosen.symbols, chosen.seed)
        prices = Prices(contracts, lambda: self.now, chosen.seed, chosen.price_step_ppm)
        self.desk = Desk(chosen, contracts, prices, lambda: self.now, None, self.events.extend)
        self.desk.ledger.wallet = Decimal(100_000)

    def seed(self, amount: str, entry: str = "2400", symbol: str = "ETHUSDT") -> None:
        self.desk.seed(SeedPosition(symbol, Decimal(amount), Decimal(entry)))

    def order(self, side: str = "SELL", quantity: str = "0.5", **more: str) -> Order:
        """An order of ETHUSDT, MARKET unless told otherwise."""
        values = {"symbol": "ETHUSDT", "side": side, "type": "MARKET", "quantity": quantity, **more}
        return self.desk.place(Params({name: value for name, value in values.items() if value != "-"}))[0]

    def limit(self, side: str, quantity: str, price: str, **more: str) -> Order:
        return self.order(side, quantity, type="LIMIT", price=price, **{"timeInForce": "GTC", **more})

    def refusal(self, **order: str) -> int:
        """The code that refuses the order; 0 if it is accepted."""
        try:
            self.order(**order)
        except VenueError as refusal:
            return refusal.code
        return 0

    def price(self, price: str) -> None:
        self.desk.prices.pin("ETHUSDT", Decimal(price))
        self.desk.sweep()

    @property
    def amount(self) -> Decimal:
        return self.desk.ledger.position("ETHUSDT", "BOTH").amount
