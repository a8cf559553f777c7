"""The verdict on a run: from the exchange's records and the list of what was asked for, and from nothing else.

Trades are walked in the order of their numbers, for times are stamped by a clock that is set. Which plan an order belongs
to is told by the quantity that it asks for, not by its client order id.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from tests.acceptance.world import PREFIX, Records
from tests.chaos.plans import Episode, Expiry, Plan
from tests.faults.judging import Appeared, Story, safety
from tests.faults.storm_judging import Book, cause_of

ZERO: Final = Decimal(0)


class Fate(StrEnum):
    """What became of a plan."""

    FLAT = "flat"
    """All of it was executed, once, and nothing was left of the position."""
    REDUCED = "reduced"
    """All of it was executed, once, and the rest of the position was left."""
    TAKEN = "taken by the venue"
    """Liquidation or auto-deleveraging was faster; what we executed was no more than was asked for."""
    EXPIRED = "expired"
    """Injected: it ran out, and had no effect or a part of it."""
    NEVER = "never"
    """Less than was asked for, and the position was there."""
    TWICE = "twice"
    """More than was asked for."""


@dataclass
class Verdict:
    """One plan as it ended. ``took_ms`` is from the decision to its last fill, by the exchange's stamps."""

    plan: Plan
    symbol: str
    fate: Fate
    took_ms: int | None


@dataclass
class Judged:
    """All plans of a run, and every violation in words."""

    verdicts: list[Verdict] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


@dataclass
class _Account:
    """What one plan has got so far."""

    plan: Plan
    executed: Decimal = ZERO
    asked: set[Decimal] = field(default_factory=set)
    """Quantities that orders of it asked for."""
    last_fill: int = 0
    left: Decimal = ZERO
    """The position after its last fill."""

    @property
    def remainder(self) -> Decimal:
        return self.plan.quantity - self.executed


def judge(episodes: Sequence[Episode], records: Records, clock_steps: Sequence[tuple[int, int]]) -> Judged:
    """Every plan, and all that is wrong. ``clock_steps`` says from when the exchange's clock was off, and by how much."""
    book = Book(records)
    found = Judged()
    by_symbol: defaultdict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        by_symbol[episode.symbol].append(episode)
    for symbol, played in by_symbol.items():
        _Symbol(symbol, played, book, clock_steps, found).walk()
    return found


class _Symbol:
    """The walk through one symbol's trades."""

    def __init__(
        self,
        symbol: str,
        episodes: Sequence[Episode],
        book: Book,
        clock_steps: Sequence[tuple[int, int]],
        found: Judged,
    ) -> None:
        self._symbol = symbol
        self._episodes = list(episodes)
        self._clock_steps = clock_steps
        self._found = found
        self._books = book.of(symbol)
        self._orders = {order["orderId"]: order for order in book.orders[symbol]}
        self._accounts = {plan.name: _Account(plan) for episode in episodes for plan in episode.plans}

    def walk(self) -> None:
        appeared = [Appeared(0, "BOTH", episode.put) for episode in self._episodes]
        story = Story(self._books, self._symbol, appeared)
        self._found.violations += [f"{self._symbol}: {what}" for what in safety(story)]
        names = [order["clientOrderId"] for order in story.own.values()]
        if len(names) != len(set(names)):
            self._wrong("a client order id was used twice")
        waiting = list(self._episodes)
        current: Episode | None = None
        taken: set[str] = set()
        held = ZERO
        executed: defaultdict[int, Decimal] = defaultdict(Decimal)
        for trade, before, after in story.moves():
            if not held and waiting:
                current = waiting.pop(0)
            held = after
            order = self._orders[trade["orderId"]]
            if cause_of(order["clientOrderId"]):
                taken |= {plan.name for plan in current.plans} if current else set()
            elif not order["clientOrderId"].startswith(PREFIX):
                self._wrong(f"order {order['orderId']} is nobody's")
            else:
                self._attribute(current, order, trade, before, after, executed)
                executed[order["orderId"]] += Decimal(trade["qty"])
        if not held and waiting:
            held = waiting.pop(0).put
        if waiting:
            self._wrong(f"{len(waiting)} positions were put where one was open")
        if held != story.positions.get("BOTH", ZERO):
            self._wrong(f"the trades lead to {held}, the position is {story.positions.get('BOTH', ZERO)}")
        for name, account in self._accounts.items():
            self._conclude(account, is_taken=name in taken)

    def _attribute(
        self,
        current: Episode | None,
        order: Mapping[str, Any],
        trade: Mapping[str, Any],
        before: Decimal,
        after: Decimal,
        executed: Mapping[int, Decimal],
    ) -> None:
        """Give a trade to the plan whose remainder its order asked for."""
        asked = Decimal(order["origQty"])
        quantity = Decimal(trade["qty"])
        # An order may have several trades; what its own earlier ones took is no part of what it could have asked for.
        already = executed[order["orderId"]]
        account = self._owner(current, asked, already, abs(before))
        if account is None:
            self._wrong(
                f"order {order['orderId']} asked for {asked}, and no plan can have: {order['clientOrderId']}"
            )
            return
        account.executed += quantity
        account.asked.add(asked)
        account.last_fill = self._ours(trade["time"])
        account.left = after

    def _owner(
        self, current: Episode | None, asked: Decimal, already: Decimal, held: Decimal
    ) -> _Account | None:
        here = [self._accounts[plan.name] for plan in (current.plans if current else ())]
        for account in here:
            if account.remainder + already == asked and account.remainder > 0:
                return account
        whole = next((one for one in here if one.plan.whole and one.remainder > 0), None)
        # A full close may have been sized on what was there a moment before; the venue takes what is there.
        if whole is not None and asked > held + already:
            return whole
        for account in self._accounts.values():
            if asked in account.asked or (asked == account.plan.quantity and account not in here):
                return account
        return whole if asked >= held + already else None

    def _conclude(self, account: _Account, *, is_taken: bool) -> None:
        plan = account.plan
        expired = plan.expiry is not Expiry.NONE
        if account.remainder < 0:
            fate = Fate.TWICE
        elif not account.remainder:
            fate = Fate.REDUCED if account.left else Fate.FLAT
        elif is_taken:
            fate = Fate.TAKEN
        else:
            fate = Fate.EXPIRED if expired else Fate.NEVER
        if fate in {Fate.TWICE, Fate.NEVER}:
            self._wrong(
                f"plan {plan.name} {fate}: {account.executed} of {plan.quantity}, told {plan.outcome}"
            )
        if plan.expiry is Expiry.PAST and account.executed:
            self._wrong(f"plan {plan.name} had expired, and {account.executed} were executed")
        took = account.last_fill - plan.at if account.last_fill and not account.remainder else None
        self._found.verdicts.append(Verdict(plan, self._symbol, fate, took))

    def _wrong(self, what: str) -> None:
        self._found.violations.append(f"{self._symbol}: {what}")

    def _ours(self, stamp: int) -> int:
        """A stamp of the exchange by a clock that was never set."""
        off = 0
        for at, offset in self._clock_steps:
            if stamp - offset >= at:
                off = offset
        return stamp - off
