"""The life of one close, as sum types, and what each fact makes of it.

1. ``New``: nothing is known.
2. ``Waiting``: admitted, between attempts; it wants a position read and then the gate.
3. ``InFlight``: the gate was passed, the attempt is journalled and may be on the wire.
4. ``Unknown``: the attempt's fate is open. A state, not an error.
5. ``Working``: the venue has the order; its end and its trades are awaited.
6. ``Confirming``: the fills are complete; the position is read back.
7. ``Tidying``: flat; reducing orders that are left over are cancelled.
8. ``Concluded``: the outcome is known and waits to be published.
9. ``Done``.

``evolve`` is total: a close is the fold of its journal. So recovery is the same code as the first time: fold, then
``decide`` on the event that a process took it up again.
"""

from collections.abc import Iterable
from decimal import Decimal
from functools import reduce

import msgspec

from sureclose.domain import facts
from sureclose.domain.doubt import Doubts
from sureclose.domain.events import Decision
from sureclose.domain.facts import AnyFact, Ended, Sending
from sureclose.domain.market import OrderReport, Position, RestingOrder, SymbolRules, Trade
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.quantity import ZERO
from sureclose.domain.words import PositionSide


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What all states from admission on carry."""

    decision: Decision
    sized: facts.Sized | None = None
    fixed: bool = False
    """Whether an attempt passed the gate with this sizing. Before that another close may have had the flight."""
    attempt: int = 0
    attempts: tuple[Sending, ...] = ()
    begun: int = 0
    """How many of the attempts belong to an earlier delivery of the plan, which was skipped."""
    orders: tuple[OrderReport, ...] = ()
    """This close's orders as they were first seen."""
    trades: tuple[Trade, ...] = ()
    strays: tuple[OrderReport, ...] = ()
    """Orders of attempts other than the current one, seen late; their fills are ours and must be read."""
    setbacks: int = 0
    """Attempts in a row that came to nothing."""
    refusals: int = 0
    """Those of them that the venue refused, being asked: requests that never reached it say nothing of the close."""
    refused_with: int | None = None
    """The venue's code, when the last attempt was refused: some refusals are answered by another kind of attempt."""
    clearing: facts.Clearing | None = None
    """Blocking orders that are being cancelled, until a list shows that they are gone."""
    cleared: tuple[RestingOrder, ...] = ()
    """Those that are gone: whatever they protected is without them now."""
    left: tuple[RestingOrder, ...] = ()
    """Reducing orders that a flat position left behind, and that could not be cancelled."""
    unlisted: bool = False
    """Whether it is not known what the flat position left behind, for no list of it could be read."""
    orphan: OrderReport | None = None
    """An order of a later attempt that the venue has and the log had lost: it becomes an attempt before anything else."""
    ending: str = ""
    """Why no further attempt is made."""

    @property
    def filled(self) -> Decimal:
        """The sum of this close's own trades: the only source of the remainder."""
        return sum((trade.quantity for trade in self.trades), ZERO)

    @property
    def order_ids(self) -> tuple[int, ...]:
        return tuple(order.order_id for order in self.orders)

    def filled_by(self, order_id: int) -> Decimal:
        """What this order's trades sum to, as far as they are known."""
        return sum((trade.quantity for trade in self.trades if trade.order_id == order_id), ZERO)

    @property
    def average_price(self) -> Decimal | None:
        """Volume-weighted over the venue's trades."""
        filled = self.filled
        if not filled:
            return None
        return sum((trade.quantity * trade.price for trade in self.trades), ZERO) / filled

    @property
    def remaining(self) -> Decimal:
        return ZERO if self.sized is None else max(ZERO, self.sized.target - self.filled)

    @property
    def last_fill_time(self) -> int:
        return max((trade.time for trade in self.trades), default=0)

    @property
    def first_sent_at(self) -> int | None:
        """The timestamp of this delivery's first attempt, venue milliseconds: its decision is older."""
        return self.attempts[self.begun].timestamp if len(self.attempts) > self.begun else None

    def owns(self, order: OrderReport) -> bool:
        """Whether the order carries the id of one of this close's attempts; no other order is ever its own."""
        return any(order.client_order_id == attempt.client_order_id for attempt in self.attempts)

    @property
    def sent_for(self) -> tuple[PositionSide, ...]:
        """The venue's words for the positions that this delivery's attempts were for: one, unless the account's mode changed."""
        sides = (attempt.position.position_side for attempt in self.attempts[self.begun :])
        return tuple(dict.fromkeys(sides))

    @property
    def position_side(self) -> PositionSide | None:
        """The venue's word for the position that was filled from; before a fill it is not settled."""
        return self.sized.position.position_side if self.sized is not None and self.trades else None

    @property
    def full(self) -> bool:
        """Whether everything was to be closed."""
        return self.decision.quantity is None and self.decision.fraction == 1


class New(msgspec.Struct, frozen=True):
    """Nothing is known."""


class Waiting(msgspec.Struct, frozen=True):
    progress: Progress
    tries: int = 0
    flat_at: int = 0
    """When the venue was first asked, venue milliseconds, and said flat ever since."""


class InFlight(msgspec.Struct, frozen=True):
    progress: Progress
    sending: Sending


class Unknown(msgspec.Struct, frozen=True):
    progress: Progress
    sending: Sending
    doubts: Doubts = Doubts()
    tries: int = 0


class Working(msgspec.Struct, frozen=True):
    progress: Progress
    order: OrderReport
    tries: int = 0
    doubts: Doubts = Doubts()
    """Reads that agree on a doubtful end."""


class Confirming(msgspec.Struct, frozen=True):
    progress: Progress
    tries: int = 0


class Tidying(msgspec.Struct, frozen=True):
    progress: Progress
    ended: Ended
    position: Position
    rules: SymbolRules
    clearing: facts.Clearing | None = None
    tries: int = 0


class Concluded(msgspec.Struct, frozen=True):
    progress: Progress
    ended: Ended


class Done(msgspec.Struct, frozen=True):
    progress: Progress
    ended: Ended


State = New | Waiting | InFlight | Unknown | Working | Confirming | Tidying | Concluded | Done


def fold(journal: Iterable[AnyFact]) -> State:
    """The state that a journal amounts to."""
    start: State = New()
    return reduce(evolve, journal, start)


def evolve(state: State, fact: AnyFact) -> State:
    """What the fact makes of the state. Total: a fact that says nothing new to a state leaves it."""
    if isinstance(state, New):
        return Waiting(Progress(decision=fact.decision)) if isinstance(fact, facts.Admitted) else state
    if isinstance(state, Done):
        # A skipped close does not burn its id: a later delivery is admitted on the same chain.
        if isinstance(fact, facts.Admitted) and state.ended.outcome.kind is OutcomeKind.SKIPPED:
            before = state.progress
            attempts = before.attempts
            return Waiting(
                Progress(
                    decision=fact.decision, attempt=before.attempt, attempts=attempts, begun=len(attempts)
                )
            )
        if isinstance(fact, facts.Resolved) and state.ended.outcome.kind is OutcomeKind.PARKED:
            return _resolved(state.progress, fact)
        return state
    if isinstance(fact, Ended):
        return Done(state.progress, fact)
    return _evolve_open(state, fact)


_Open = Waiting | InFlight | Unknown | Working | Confirming | Tidying | Concluded


def _evolve_open(state: _Open, fact: AnyFact) -> State:
    progress = state.progress
    match fact:
        case facts.Sized():
            return Waiting(msgspec.structs.replace(progress, sized=fact))
        case facts.Sending():
            attempts = (*progress.attempts, fact)
            sent = msgspec.structs.replace(
                progress, fixed=True, attempt=fact.attempt, attempts=attempts, refused_with=None, orphan=None
            )
            return InFlight(sent, fact)
        case facts.NotSent():
            return _next(msgspec.structs.replace(progress, setbacks=progress.setbacks + 1))
        case facts.Answered():
            return _answered(state, fact)
        case facts.Seen():
            return _seen(state, fact.order)
        case facts.Filled():
            return _filled(progress, fact)
        case facts.Dead():
            return _next(msgspec.structs.replace(progress, setbacks=progress.setbacks + 1))
        case facts.Clearing() | facts.Cleared():
            return msgspec.structs.replace(state, progress=_clear(progress, fact))
        case facts.Resumed() if isinstance(state, InFlight):
            return Unknown(progress, state.sending)
        case _:
            return state


def _answered(state: _Open, fact: facts.Answered) -> State:
    if not isinstance(state, InFlight) or state.sending.attempt != fact.attempt:
        return state
    if fact.answer is facts.Answer.UNKNOWN:
        return Unknown(state.progress, state.sending)
    progress = state.progress
    return _next(
        msgspec.structs.replace(
            progress,
            setbacks=progress.setbacks + fact.setback,
            refusals=progress.refusals + fact.setback,
            refused_with=fact.code,
        )
    )


def _clear(progress: Progress, fact: facts.Clearing | facts.Cleared) -> Progress:
    if fact.why is facts.Why.LEFTOVER:
        if isinstance(fact, facts.Clearing):
            return progress
        return msgspec.structs.replace(progress, left=fact.left, unlisted=not fact.listed)
    if isinstance(fact, facts.Clearing):
        return msgspec.structs.replace(progress, clearing=fact)
    cleared = (*progress.cleared, *fact.gone)
    return msgspec.structs.replace(progress, clearing=None, cleared=cleared, refused_with=None)


def _resolved(progress: Progress, fact: facts.Resolved) -> Done:
    settled = msgspec.structs.replace(progress, orders=fact.orders, trades=fact.trades)
    return Done(settled, Ended(outcome=fact.outcome, position_after=fact.position))


def _seen(state: _Open, order: OrderReport) -> State:
    progress = state.progress
    if isinstance(state, InFlight | Unknown) and order.client_order_id == state.sending.client_order_id:
        return Working(_with_order(progress, order), order)
    if isinstance(state, Working) and order.order_id == state.order.order_id:
        return msgspec.structs.replace(state, order=_newer(state.order, order))
    if not progress.owns(order):
        return state
    if order.order_id in progress.order_ids and order.executed_qty <= progress.filled_by(order.order_id):
        return state
    if isinstance(state, Waiting | Confirming | Tidying | Concluded):
        return Working(_with_order(progress, order), order)
    others = tuple(stray for stray in progress.strays if stray.order_id != order.order_id)
    return msgspec.structs.replace(state, progress=msgspec.structs.replace(progress, strays=(*others, order)))


def _with_order(progress: Progress, order: OrderReport) -> Progress:
    if order.order_id in progress.order_ids:
        return progress
    return msgspec.structs.replace(progress, orders=(*progress.orders, order))


def _newer(known: OrderReport, seen: OrderReport) -> OrderReport:
    """Answers, queries and the stream overtake each other: an end stays an end, and fills never shrink."""
    if known.terminal and not seen.terminal:
        return known
    if seen.terminal and not known.terminal:
        return seen
    return seen if seen.executed_qty >= known.executed_qty else known


def _filled(progress: Progress, fact: facts.Filled) -> State:
    known = {trade.trade_id for trade in progress.trades}
    # By id, since a list that was read in pages, or told twice, may have one of them twice.
    fresh = tuple({trade.trade_id: trade for trade in fact.trades if trade.trade_id not in known}.values())
    setbacks, refusals = (0, 0) if fresh else (progress.setbacks + 1, progress.refusals)
    progress = _with_order(progress, fact.order)
    return _next(
        msgspec.structs.replace(
            progress, trades=(*progress.trades, *fresh), setbacks=setbacks, refusals=refusals
        )
    )


def _next(progress: Progress) -> State:
    """Between attempts: late orders first, then the remainder, then the read-back."""
    if progress.strays:
        order, *rest = progress.strays
        settled = msgspec.structs.replace(progress, strays=tuple(rest))
        return Working(_with_order(settled, order), order)
    if progress.sized is not None and not progress.remaining:
        return Confirming(progress)
    return Waiting(progress)
