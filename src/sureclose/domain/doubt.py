"""When an attempt of unknown fate is dead: the rules of proof.

Inside the deadline "order does not exist" is no answer. After it, and a margin for orders queued inside the venue, an
attempt is dead when three things hold together: not-found answers spread over time, no own id in a complete list of
orders begun after the deadline, and every move of the position since the attempt explained by other orders' trades.
"""

from collections.abc import Sequence

import msgspec

from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import Dead, Sending
from sureclose.domain.history import moved, seen_since
from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.policy import Policy


class Doubts(msgspec.Struct, frozen=True):
    """The not-found answers that count so far. Not journalled: a restart begins to count anew."""

    count: int = 0
    first_at: int = 0
    last_at: int = 0
    contradicted_at: int = 0
    """When the evidence first contradicted itself: it may be a lagging read, however old the attempt is."""

    def missing(self, asked_at: int) -> "Doubts":
        """One more answer, to a question asked after ``asked_at`` (a time read from the venue)."""
        return Doubts(self.count + 1, self.first_at or asked_at, asked_at, self.contradicted_at)

    def contradicted(self, begun_at: int) -> "Doubts":
        """The evidence begun at a venue time contradicts itself, and may have done so before."""
        return msgspec.structs.replace(self, contradicted_at=self.contradicted_at or begun_at)

    def standing(self, begun_at: int, policy: Policy) -> bool:
        """Whether the contradiction has stood for longer than any read lags."""
        return bool(self.contradicted_at) and begun_at - self.contradicted_at > policy.park_after

    def enough(self, policy: Policy) -> bool:
        return self.count >= policy.not_found_answers and self.last_at - self.first_at >= policy.spread


def past_window(sending: Sending, venue_time: int, policy: Policy) -> bool:
    """Whether a request with the attempt's timestamp can no longer be executed at this venue time."""
    return venue_time > sending.deadline + policy.margin


def evidence_since(sending: Sending) -> int:
    """From when orders and trades are evidence: the attempt itself, and every move since its own position read."""
    return min(sending.timestamp, seen_since(sending.position))


class Contradiction(msgspec.Struct, frozen=True):
    """What was read does not fit together. It may be a lagging read, so it has to stand for a while to count."""

    reason: str


class Early(msgspec.Struct, frozen=True):
    """The evidence was begun inside the window and proves nothing."""


def weigh(
    sending: Sending, doubts: Doubts, evidence: Evidence, policy: Policy
) -> OrderReport | Dead | Contradiction | Early:
    """The order if it is there after all, the proof that it never will be, or why neither can be said."""
    for order in evidence.orders:
        if order.client_order_id == sending.client_order_id:
            return order
    if not past_window(sending, evidence.begun_at, policy):
        return Early()
    foreign = {order.order_id for order in evidence.orders}
    since = [trade for trade in evidence.trades if trade.time > sending.position.update_time]
    nameless = [trade.trade_id for trade in since if trade.order_id not in foreign]
    if nameless:
        return Contradiction(f"trades {nameless} belong to no order that the venue lists")
    change = evidence.position.amount - sending.position.amount
    if not explained(sending.position, evidence.position, evidence.trades):
        return Contradiction(f"the position moved by {change} and no order explains it")
    return Dead(
        attempt=sending.attempt,
        not_found=doubts.count,
        first_not_found_at=doubts.first_at,
        last_not_found_at=doubts.last_at,
        evidence_begun_at=evidence.begun_at,
        orders_read=len(evidence.orders),
        position=evidence.position,
        foreign_moves=change,
    )


def explained(before: Position, after: Position, trades: Sequence[Trade]) -> bool:
    """Whether the trades between two reads of a position make up the difference between them.

    Of several trades of one millisecond a read may show only the first ones, at either end. A flat position without
    an ``update_time`` shows all there is.
    """
    end = after.update_time or after.requested_at
    ordered = sorted(trades, key=lambda trade: (trade.time, trade.trade_id))
    at_start = [trade for trade in ordered if trade.time == before.update_time]
    between = [trade for trade in ordered if before.update_time < trade.time < end]
    at_end = [trade for trade in ordered if before.update_time < trade.time == end]
    missing = after.amount - before.amount - moved(between)
    return any(
        missing == moved(at_start[shown:]) + moved(at_end[:visible])
        for shown in range(len(at_start) + 1)
        for visible in range(len(at_end) + 1)
    )
