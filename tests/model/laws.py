"""What must be so in every state and with every move: the invariants of section 4 of the design, by their numbers.

They judge by the truth of the model, what the venue has and what every process is about to do, not by what the journal says.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from sureclose.domain import steps
from sureclose.domain.close import Concluded, Done, New
from sureclose.domain.facts import Admitted, Answered, Dead, Ended, Filled, NotSent, Sending
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.report import report_of
from tests.model import exchange
from tests.model.core import folded
from tests.model.faults import Bounds, Fault
from tests.model.move import Deed, Move
from tests.model.terms import EFFECTS, FACTS, STATES
from tests.model.world import NAMES, PLANS, WINDOW, Gated, Kind, Phase, World


class Law(NamedTuple):
    """One law: its name and DESIGN's words for it."""

    name: str
    words: str


I1: Final = Law("I1", "a send is preceded by its durable SENDING record")
I2: Final = Law(
    "I2", "between two sends of one plan stands a proof that the earlier is filled, partial or dead"
)
I3: Final = Law("I3", "an entry is acknowledged only when its outcome is durable")
I4: Final = Law("I4", "at most one attempt in flight per (account, symbol, side)")
I5: Final = Law("I5", "every order reduces, and is never larger than the position as read for the gate")
I6: Final = Law(
    "I6",
    "judged at the gate: no order without an approved, unexpired, unexecuted CLOSE and a grant without freeze, or a warrant",
)
I7: Final = Law("I7", "`executed=True` only after the venue's fills and position say so")
ONCE: Final = Law("once", "the fills of a plan's own orders add up to its target and never to more")
SIZE: Final = Law(
    "size", "size from the venue's position, read while holding single flight: two plans of 50 % make 75 %"
)
INTENT: Final = Law("intent", "one intent is one close: of its plans one has an effect on a position")
PARK: Final = Law("park", "a fault alone never parks")
L1: Final = Law(
    "L1",
    "from every state that faults alone can reach there is a fault-free way to an outcome that is not PARKED",
)
LAWS: Final = (I1, I2, I3, I4, I5, I6, I7, ONCE, SIZE, INTENT, PARK, L1)


class Broken(NamedTuple):
    """A law that does not hold, and what was seen."""

    law: Law
    seen: str


class Attempt(NamedTuple):
    """One attempt of one close."""

    plan: int
    attempt: int

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {PLANS[self.plan]}"


def executable(world: World) -> Iterator[Attempt]:
    """Every attempt that can still become a fill, or more of one, as often as it can."""
    for request in world.wire:
        if world.now <= request.deadline:
            yield Attempt(request.plan, request.attempt)
    for change in world.venue:
        if change.kind is Kind.ACCEPTED and not exchange.ended(world.venue, change.plan, change.attempt):
            yield Attempt(change.plan, change.attempt)
    for process in world.processes:
        for plan, closing in enumerate(process.closings):
            if closing is None or closing.phase is not Phase.READY:
                continue
            effect = EFFECTS[closing.effect]
            if isinstance(effect, steps.Send) and world.now <= effect.sending.timestamp + WINDOW // 2:
                yield Attempt(plan, effect.sending.attempt)


def remembered(world: World, move: Move) -> World:
    """The world after the move, with the pass of the gate noted for the laws."""
    if move.deed is not Deed.GATE:
        return move.world
    sending = FACTS[move.number]
    assert isinstance(sending, Sending)
    state = STATES[folded(move.world.log.closes[move.plan].facts)]
    assert not isinstance(state, New)
    sized = state.progress.sized
    target = 0 if sized is None else int(sized.target)
    gated = Gated(move.plan, sending.attempt, move.number, target)
    return move.world._replace(gated=(*world.gated, gated))


# With a move ---------------------------------------------------------------------------------------------------------


def of_move(bounds: Bounds, world: World, move: Move) -> Iterator[Broken]:
    """What the move breaks; ``world`` is the one before it."""
    if move.deed is Deed.GATE:
        yield from _at_the_gate(bounds, world, move)
    elif move.deed is Deed.SEND:
        yield from _at_a_send(world, move)
    elif move.deed is Deed.PUBLISH:
        yield from _at_an_outcome(world, move)


def _at_a_send(world: World, move: Move) -> Iterator[Broken]:
    sending = FACTS[move.number]
    assert isinstance(sending, Sending)
    if not any((gated.plan, gated.sending) == (move.plan, move.number) for gated in world.gated):
        yield Broken(I1, f"attempt {sending.attempt} of {PLANS[move.plan]} has no record")


def _at_the_gate(bounds: Bounds, world: World, move: Move) -> Iterator[Broken]:
    sending = FACTS[move.number]
    assert isinstance(sending, Sending)
    plan = PLANS[move.plan]
    alive = [attempt for attempt in executable(world) if attempt.plan == move.plan]
    if alive:
        yield Broken(I2, f"{alive[0]} can still execute")
    unproven = _unproven(move)
    if unproven:
        yield Broken(I2, f"nothing in the journal ends attempt {unproven} of {plan}")
    position = sending.position
    reducing = "SELL" if position.amount > 0 else "BUY"
    if sending.side != reducing or not 0 < sending.quantity <= abs(position.amount):
        yield Broken(I5, f"{sending.side} {sending.quantity} of {position.amount}")
    yield from _permitted(world, move, plan)
    own = [change.time for change in world.venue if change.kind is Kind.FILLED]
    if not bounds.faults.get(Fault.LAG) and own and position.update_time < max(own):
        yield Broken(
            SIZE, f"attempt {sending.attempt} of {plan} is sized on a position of before our last fill"
        )


def _unproven(move: Move) -> int:
    """The number of an attempt after which another one is sent and no proof stands between them."""
    facts = [FACTS[number] for number in move.world.log.closes[move.plan].facts]
    passes = [place for place, fact in enumerate(facts) if isinstance(fact, Sending)]
    for place, later in pairwise(passes):
        sending = facts[place]
        assert isinstance(sending, Sending)
        between = facts[place:later]
        proven = any(
            isinstance(fact, Filled | Dead | NotSent)
            or (isinstance(fact, Answered) and fact.answer == "refused")
            for fact in between
        )
        if not proven:
            return sending.attempt
    return 0


def _permitted(world: World, move: Move, plan: str) -> Iterator[Broken]:
    log, process = world.log, world.processes[move.process]
    if log.frozen:
        yield Broken(I6, f"{plan} passes the gate under freeze")
    if (log.holder, log.epoch) != (NAMES[move.process], process.epoch) or world.lost_at:
        yield Broken(I6, f"{plan} passes the gate by {NAMES[move.process]}, which does not hold the lease")
    if log.closes[move.plan].state in {"DONE", "PARKED"}:
        yield Broken(I6, f"{plan} was executed")
    admitted = any(isinstance(FACTS[fact], Admitted) for fact in move.world.log.closes[move.plan].facts)
    if not admitted:
        yield Broken(I6, f"{plan} was never approved")


def _at_an_outcome(world: World, move: Move) -> Iterator[Broken]:
    ended = FACTS[move.number]
    assert isinstance(ended, Ended)
    plan, outcome = PLANS[move.plan], ended.outcome
    final = STATES[folded(move.world.log.closes[move.plan].facts)]
    assert isinstance(final, Done)
    progress = final.progress
    truth = exchange.filled_of(world.venue, move.plan)
    own = [change.time for change in world.venue if change.kind is Kind.FILLED and change.plan == move.plan]
    open_still = [attempt for attempt in executable(world) if attempt.plan == move.plan]
    if outcome.kind is OutcomeKind.PARKED:
        if not _contradicted(world):
            yield Broken(PARK, f"{plan} ends {outcome}")
        return
    if open_still:
        yield Broken(I7, f"{plan} ends {outcome} while {open_still[0]} can still execute")
    if int(progress.filled) != truth and outcome.kind is not OutcomeKind.SKIPPED:
        yield Broken(I7, f"{plan} ends {outcome}, {truth} was filled and {progress.filled} is known")
    executed = report_of(Concluded(progress, ended), "").executed
    if executed is not (outcome.kind in {OutcomeKind.FLAT, OutcomeKind.REDUCED}):
        yield Broken(I7, f"{plan} ends {outcome} with executed={executed}")
    if outcome.kind in {OutcomeKind.SKIPPED, OutcomeKind.REFUSED, OutcomeKind.ALREADY_FLAT} and truth:
        yield Broken(I7, f"{plan} ends {outcome} with {truth} filled")
    position = ended.position_after
    if not executed:
        return
    if position is None or position.requested_at < max(own) or position.update_time < max(own):
        yield Broken(I7, f"{plan} ends {outcome} on a read of before its last fill")
    elif int(position.amount) not in _shown_at(world, position.update_time):
        yield Broken(I7, f"{plan} ends {outcome} on a position of {position.amount} that never was")
    elif (position.amount == 0) is not (outcome.kind is OutcomeKind.FLAT):
        yield Broken(I7, f"{plan} ends {outcome} at {position.amount}")
    if outcome.kind is OutcomeKind.REDUCED and not outcome.reason and progress.remaining:
        yield Broken(I7, f"{plan} ends {outcome} with {progress.remaining} left and no reason")


def _shown_at(world: World, time: int) -> set[int]:
    return {exchange.amount_of(tuple(change for change in world.venue if change.time <= time))}


def _contradicted(world: World) -> bool:
    return any(change.kind is Kind.DRIFTED for change in world.venue)


# In a state ----------------------------------------------------------------------------------------------------------


def of_state(bounds: Bounds, world: World) -> Iterator[Broken]:
    """What does not hold in the world as it is."""
    for entry, acknowledged in enumerate(world.log.acknowledged):
        plan = entry // bounds.copies
        # A skipped close is open again while another delivery of it is judged; its first outcome stays durable.
        if acknowledged and not _has_ended(world, plan):
            yield Broken(I3, f"entry {entry + 1} is acknowledged and {PLANS[plan]} has no outcome")
    flying = list(executable(world))
    if len(flying) > 1:
        yield Broken(I4, f"{' and '.join(map(str, flying))} are in flight")
    if bounds.one_intent:
        yield from _one_of_them(bounds, world, flying)
    for plan in range(len(bounds.fractions)):
        filled = exchange.filled_of(world.venue, plan)
        targets = [gated.target for gated in world.gated if gated.plan == plan]
        if filled and filled > (targets[-1] if targets else 0):
            yield Broken(ONCE, f"{filled} of {PLANS[plan]} are filled, and its target is {targets[-1:]}")


def _one_of_them(bounds: Bounds, world: World, flying: list[Attempt]) -> Iterator[Broken]:
    effective = {attempt.plan for attempt in flying}
    effective |= {plan for plan in range(len(bounds.fractions)) if exchange.filled_of(world.venue, plan)}
    if len(effective) > 1:
        yield Broken(INTENT, f"{' and '.join(PLANS[plan] for plan in sorted(effective))} close one intent")


def _has_ended(world: World, plan: int) -> bool:
    return any(isinstance(FACTS[fact], Ended) for fact in world.log.closes[plan].facts)


def at_the_end(world: World) -> bool:
    """Whether every close has an outcome that is not PARKED, and every entry is acknowledged."""
    return all(world.log.acknowledged) and all(
        close.state in {"DONE", "SKIPPED"} for close in world.log.closes
    )


def excused(world: World) -> bool:
    """Whether L1 says nothing of the world: a contradiction was injected."""
    return _contradicted(world)
