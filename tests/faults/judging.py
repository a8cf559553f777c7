"""The verdict on one symbol, from the exchange's records alone; what our events claim is then held against it.

Nothing here imports what it judges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from tests.acceptance.world import PREFIX, Fields, Records

ZERO: Final = Decimal(0)
_CLOSEST: Final = Decimal("1e-12")
"""How far an average price may be off: its division has an end."""


class Appeared(NamedTuple):
    """A position that the exchange was told to have, without order or trade. ``at`` in milliseconds of its clock."""

    at: int
    side: str
    amount: Decimal


@dataclass(frozen=True)
class Wanted:
    """What must hold of one symbol: base units. ``left`` is by position side, ``effective`` ``None`` where chance decides."""

    total: Decimal
    left: Mapping[str, Decimal]
    effective: int | None
    least_sent: int


@dataclass(frozen=True)
class Claim:
    """What was said of one plan, and how it had to end.

    ``filled`` is ``None`` where several plans share a sum; ``last_record`` is ``None`` where the journal was not read.
    """

    plan: str
    outcomes: tuple[str, ...]
    filled: Decimal | None
    results: Sequence[Fields]
    last_record: str | None


class Story:
    """One symbol in the exchange's books."""

    def __init__(self, books: Records, symbol: str, appeared: Sequence[Appeared]) -> None:
        raw = books._books
        self.sent = [one for one in books.placements(symbol) if _own(one["params"].get("newClientOrderId"))]
        self.orders: dict[int, dict[str, Any]] = {
            one["orderId"]: one for one in raw["orders"] if one["symbol"] == symbol
        }
        self.own = {number: one for number, one in self.orders.items() if _own(one["clientOrderId"])}
        self.trades = sorted(
            (one for one in raw["trades"] if one["symbol"] == symbol), key=lambda one: one["id"]
        )
        self.positions = {
            one["positionSide"]: Decimal(one["positionAmt"])
            for one in raw["positions"]
            if one["symbol"] == symbol
        }
        self._appeared = appeared

    @property
    def effective(self) -> dict[int, dict[str, Any]]:
        """Orders of ours that moved anything."""
        return {number: one for number, one in self.own.items() if Decimal(one["executedQty"])}

    @property
    def executed(self) -> Decimal:
        """What orders of ours executed, by their trades."""
        return sum((Decimal(one["qty"]) for one in self.trades if one["orderId"] in self.own), ZERO)

    def moves(self) -> list[tuple[dict[str, Any], Decimal, Decimal]]:
        """Each trade, with the position of its side before and after it, and what appeared in between."""
        waiting = list(self._appeared)
        at: dict[str, Decimal] = {}
        found = []
        for trade in self.trades:
            side = trade["positionSide"]
            for one in [one for one in waiting if one.side == side and one.at <= trade["time"]]:
                if not at.get(side, ZERO):
                    at[side] = one.amount
                    waiting.remove(one)
            before = at.get(side, ZERO)
            after = before + (Decimal(trade["qty"]) if trade["side"] == "BUY" else -Decimal(trade["qty"]))
            at[side] = after
            found.append((trade, before, after))
        return found


def _own(client_order_id: str | None) -> bool:
    return client_order_id is not None and client_order_id.startswith(PREFIX)


def effects(story: Story, wanted: Wanted) -> list[str]:
    """What is wrong with what happened, by the books: two effects, none, one that does not reduce."""
    wrong = []
    if story.executed != wanted.total:
        wrong.append(f"our orders executed {story.executed} and should have executed {wanted.total}")
    told = sum((Decimal(one["executedQty"]) for one in story.own.values()), ZERO)
    if told != story.executed:
        wrong.append(f"orders say {told} was executed, trades say {story.executed}")
    if wanted.effective is not None and len(story.effective) != wanted.effective:
        wrong.append(f"{len(story.effective)} orders had an effect and {wanted.effective} should have")
    for side, left in wanted.left.items():
        if story.positions.get(side, ZERO) != left:
            wrong.append(f"the {side} position is {story.positions.get(side, ZERO)} and should be {left}")
    if len(story.sent) < wanted.least_sent:
        wrong.append(f"{len(story.sent)} orders arrived and the scenario needs {wanted.least_sent}")
    return wrong + safety(story)


def safety(story: Story) -> list[str]:
    """What holds of every order of ours, whatever was asked."""
    wrong = []
    ids = [one["params"]["newClientOrderId"] for one in story.sent]
    if len(ids) != len(set(ids)):
        wrong.append(f"a client order id was used twice: {sorted(ids)}")
    for number, order in story.own.items():
        against = (order["positionSide"], order["side"]) in {("LONG", "SELL"), ("SHORT", "BUY")}
        if not order["reduceOnly"] and not against:
            wrong.append(f"order {number} does not reduce by construction")
    for one in story.sent:
        asked = one["params"]
        against = (asked.get("positionSide"), asked["side"]) in {("LONG", "SELL"), ("SHORT", "BUY")}
        if asked.get("reduceOnly") != "true" and not against:
            wrong.append(f"an order was asked for that need not reduce: {asked}")
    for trade, before, after in story.moves():
        if trade["orderId"] in story.own and (before * after < 0 or abs(after) >= abs(before)):
            wrong.append(f"trade {trade['id']} of ours moved the position from {before} to {after}")
    return wrong


def outcome_text(fields: Fields) -> str:
    """An outcome in words: its kind, with code and reason where there are any."""
    inside = ", ".join(part for part in (fields.get("code", ""), fields.get("reason", "")) if part)
    return f"{fields['outcome']}({inside})" if inside else fields["outcome"]


def beliefs(story: Story, claims: Sequence[Claim]) -> list[str]:
    """What is wrong with what was said, held against the books."""
    wrong = []
    claimed: list[int] = []
    for claim in claims:
        if len(claim.results) != 1:
            wrong.append(f"plan {claim.plan} has {len(claim.results)} outcomes")
        for result in claim.results:
            wrong += [f"plan {claim.plan}: {what}" for what in _said(story, claim, result)]
            claimed += _ids(result)
    if len(claimed) != len(set(claimed)):
        wrong.append(f"two plans claim the same order: {sorted(claimed)}")
    if set(story.effective) - set(claimed):
        wrong.append(f"orders {sorted(set(story.effective) - set(claimed))} are claimed by nobody")
    return wrong


def _ids(result: Fields) -> list[int]:
    return [int(number) for number in result["order_ids"].split(",") if number]


def _said(story: Story, claim: Claim, result: Fields) -> list[str]:
    wrong = []
    said = outcome_text(result)
    if not any(fnmatchcase(said, one) for one in claim.outcomes):
        wrong.append(f"it ended {said} and should have ended {' or '.join(claim.outcomes)}")
    if result["outcome"] == "PARKED":
        wrong.append(f"it was parked: {said}")
    ids = _ids(result)
    if not set(ids) <= set(story.own):
        return [*wrong, f"it claims orders {ids}, and ours are {sorted(story.own)}"]
    trades = [one for one in story.trades if one["orderId"] in ids]
    filled = sum((Decimal(one["qty"]) for one in trades), ZERO)
    if Decimal(result["filled_qty"]) != filled:
        wrong.append(f"it says {result['filled_qty']} was filled, its orders' trades say {filled}")
    if claim.filled is not None and filled != claim.filled:
        wrong.append(f"{filled} was filled and should have been {claim.filled}")
    if [story.own[number]["clientOrderId"] for number in ids] != [
        one for one in result["client_order_ids"].split(",") if one
    ]:
        wrong.append(f"client order ids {result['client_order_ids']} are not those of orders {ids}")
    done = bool(filled) and result["outcome"] in {"FLAT", "REDUCED"}
    if (result["executed"] == "True") != done:
        wrong.append(f"executed={result['executed']} with {filled} filled and outcome {said}")
    if filled:
        mean = sum((Decimal(one["qty"]) * Decimal(one["price"]) for one in trades), ZERO) / filled
        if abs(Decimal(result["avg_price"]) - mean) > _CLOSEST:
            wrong.append(f"it says the average price was {result['avg_price']}, the trades say {mean}")
    if claim.last_record is not None and result["evidence"] != claim.last_record:
        wrong.append(f"its evidence {result['evidence']} is not its last record {claim.last_record}")
    return wrong + _after(story, result, trades)


def _after(story: Story, result: Fields, trades: Sequence[Mapping[str, Any]]) -> list[str]:
    """The position that it rests on must be one that the venue had, at its last fill or later."""
    if not result["position_after"]:
        return ["nothing was read back"] if result["outcome"] in {"FLAT", "REDUCED", "ALREADY_FLAT"} else []
    after = Decimal(result["position_after"])
    if result["outcome"] in {"FLAT", "ALREADY_FLAT"} and after != 0:
        return [f"{result['outcome']} with a position of {after}"]
    last = max((one["id"] for one in trades), default=0)
    sides = {one["positionSide"] for one in trades}
    had = {
        moved for trade, _, moved in story.moves() if trade["id"] >= last and trade["positionSide"] in sides
    }
    if trades and after not in had:
        return [f"it says {after} was left, and after its last fill the position was {sorted(had)}"]
    return []
