"""Policies that each break one clause of the contract, and the clause."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sureclose.domain.harvest.contract import Clause
from sureclose.domain.harvest.policy import Hold, Proposal, View

HALF = Decimal("0.5")


def half(name: str = "half", **changes: Any) -> Proposal:
    return Proposal(name=name, action="PARTIAL_CLOSE", **{"reason": "because", "fraction": HALF, **changes})


def wins(view: View) -> bool:
    """Whether it is believed to be in profit."""
    if view.mark is None:
        return False
    return (view.mark.price - view.position.entry_price) * view.position.amount > 0


class Bad:
    """A policy made of one function."""

    def __init__(self, judge: Callable[[View], Any], name: str = "bad") -> None:
        self.name = name
        self._judge = judge

    def judge(self, view: View) -> Any:
        return self._judge(view) if wins(view) else Hold(reason="no profit")


class Remembers(Bad):
    """Proposes at every second look."""

    def __init__(self) -> None:
        super().__init__(self._second)
        self._looks = 0

    def _second(self, _: View) -> Any:
        self._looks += 1
        return half() if self._looks % 2 else Hold(reason="not now")


class Compares(Bad):
    """Proposes once it has seen another symbol."""

    def __init__(self) -> None:
        super().__init__(self._seen)
        self._symbols: set[str] = set()

    def _seen(self, view: View) -> Any:
        self._symbols.add(view.position.symbol)
        return Hold(reason="the first") if len(self._symbols) < 2 else half()


class Always(Bad):
    """Looks at nothing that has to be there."""

    def judge(self, view: View) -> Any:
        return self._judge(view)


def _trusts_the_row(view: View) -> Any:
    """Takes the mark that came with the position where the believed one is missing."""
    row = view.position
    price = row.mark_price if view.mark is None else view.mark.price
    ahead = (price - row.entry_price) * row.amount > 0
    return half() if ahead else Hold(reason="behind")


def _what_is_gone(view: View) -> Any:
    """Closes the more the less is left."""
    gone = abs(view.episode.first_amount) - abs(view.position.amount)
    return half(fraction=None, quantity=max(gone, abs(view.position.amount) / 10))


def _sleeps(view: View) -> Any:
    """Slow without a clock: as much work as makes a tenth of a second."""
    total = 0
    for number in range(2_000_000):
        total += number
    return half() if view.now < total else Hold(reason="never")


BAD: dict[str, tuple[Any, Clause, str]] = {
    "a name with spaces": (Bad(lambda _: half(), "My Policy"), Clause.NAME, "My Policy"),
    "no name": (Bad(lambda _: half(), None), Clause.NAME, "None"),  # type: ignore[arg-type]
    "it raises": (Bad(lambda view: half(fraction=HALF / view.episode.rung)), Clause.RAISES, "Zero"),
    "it gives up the process": (Bad(lambda _: exit_()), Clause.RAISES, "SystemExit"),
    "it answers nothing": (Bad(lambda _: None), Clause.ANSWER, "NoneType"),
    "it answers a word": (Bad(lambda _: "CLOSE"), Clause.ANSWER, "str"),
    "a float": (Bad(lambda _: half(fraction=0.5)), Clause.ANSWER, "float"),
    "two amounts": (Bad(lambda _: half(quantity=HALF)), Clause.ANSWER, "2 amounts"),
    "no amount": (Bad(lambda _: half(fraction=None)), Clause.ANSWER, "0 amounts"),
    "more than there is": (
        Bad(lambda view: half(fraction=None, quantity=abs(view.position.amount) * 2)),
        Clause.ANSWER,
        "and there is",
    ),
    "a fraction in percent": (Bad(lambda _: half(fraction=Decimal(50))), Clause.ANSWER, "is for 50"),
    "a negative quantity": (
        Bad(lambda _: half(fraction=None, quantity=Decimal(-1))),
        Clause.ANSWER,
        "for -1",
    ),
    "no number": (Bad(lambda _: half(fraction=Decimal("NaN"))), Clause.ANSWER, "NaN"),
    "an action that opens": (
        Bad(lambda _: Proposal(name="half", action="BUY", reason="because", quantity=Decimal("0.00000001"))),
        Clause.ANSWER,
        "BUY",
    ),
    "an action of another amount": (
        Bad(lambda _: Proposal(name="half", action="PARTIAL_25", fraction=HALF, reason="because")),
        Clause.ANSWER,
        "0.25",
    ),
    "a quantity with an action that closes all": (
        Bad(
            lambda view: Proposal(
                name="x", action="CLOSE", quantity=abs(view.position.amount), reason="because"
            )
        ),
        Clause.ANSWER,
        "CLOSE for 1",
    ),
    "a proposal without a name": (Bad(lambda _: half("")), Clause.ANSWER, "named by"),
    "no reason": (Bad(lambda _: Hold(reason="")), Clause.ANSWER, "reason"),
    "scores that are numbers": (Bad(lambda _: half(scores={"R_net": 2.0})), Clause.ANSWER, "texts"),
    "a score that is a field of the intent": (
        Bad(lambda _: half(scores={"payload": '{"symbol": "BTCUSDT", "action": "CLOSE"}'})),
        Clause.ANSWER,
        "not 'payload'",
    ),
    "a reason that can't be written": (Bad(lambda _: half(reason="\ud800")), Clause.ANSWER, "Unicode"),
    "a reason without end": (Bad(lambda _: half(reason="so" * 10_000)), Clause.ANSWER, "1000"),
    "a rung that no book holds": (Bad(lambda _: half(rung=10**30)), Clause.ANSWER, "from 1 to 99"),
    "an amount of a million places": (
        Bad(lambda _: half(fraction=Decimal("1e-999999"))),
        Clause.ANSWER,
        "999999",
    ),
    "a rung that was taken": (Bad(lambda _: half(rung=1)), Clause.ANSWER, "is taken"),
    "a clock": (Bad(lambda _: half() if time.time() > 0 else None), Clause.PURE, "time.time"),
    "a steady clock": (Bad(lambda _: half() if time.monotonic() > 0 else None), Clause.PURE, "monotonic"),
    "a calendar": (
        Bad(lambda _: half() if datetime.now(UTC).year > 0 else None),
        Clause.PURE,
        "datetime.now",
    ),
    "chance": (Bad(lambda _: half() if random.random() < 2 else None), Clause.PURE, "random"),
    "a file": (Bad(lambda _: half(str(len(Path("/etc/hosts").read_text()))[:1])), Clause.PURE, "open"),
    "print": (Bad(lambda _: half(str(print(end="")).lower())), Clause.PURE, "print"),
    "a memory": (Remembers(), Clause.DETERMINISTIC, "half"),
    "a memory of other symbols": (Compares(), Clause.DETERMINISTIC, "half"),
    "nothing is known": (Always(lambda _: half()), Clause.INVENTS, "nothing is known"),
    "prices that were refused": (Always(_trusts_the_row), Clause.INVENTS, "other prices"),
    "what is gone": (Bad(_what_is_gone), Clause.GROWS, "half of it is left"),
    "a name with the time in it": (
        Bad(lambda view: half(f"half-{view.now}")),
        Clause.RENAMES,
        "a second later",
    ),
    "a name for each look": (
        Bad(lambda view: half(f"half-{len(view.episode.asked)}")),
        Clause.ENDLESS,
        "and so on",
    ),
    "slow": (Bad(_sleeps), Clause.SLOW, "ms"),
}


def exit_() -> None:
    raise SystemExit(3)
