"""When time matters: the moments that some rule compares the clock with, so that time leaps from one to the next."""

from collections.abc import Iterator

from sureclose.domain import steps
from sureclose.domain.close import Unknown, Waiting, Working
from tests.model import exchange
from tests.model.faults import PLACE, Fault
from tests.model.move import Move
from tests.model.terms import EFFECTS, MAX_AGE, POLICY, STATES
from tests.model.world import START, WINDOW, Closing, Kind, Phase, World, spend

STALE_MS = 1_000
"""How old a position read may be at the gate (``services/closing.py``)."""
HORIZON = START + 2 * MAX_AGE
"""Nothing waits that long: a history that came here would never end."""


def passing(world: World) -> Iterator[Move]:
    """Time goes on to the next moment that matters, and a moment beyond."""
    moments = sorted({moment for moment in _moments(world) if moment >= world.now})
    if moments and moments[0] < HORIZON:
        yield from _leap(world, moments[0] + 1)
    if world.budget[PLACE[Fault.EXPIRE]] and world.now < START + MAX_AGE:
        late = spend(world, Fault.EXPIRE)
        assert late is not None
        yield from _leap(late, START + MAX_AGE, "the approval grows too old", faulty=True)


def _leap(world: World, to: int, words: str = "", *, faulty: bool = False) -> Iterator[Move]:
    costs = []
    late = any(world.now <= request.deadline < to for request in world.wire)
    if late or _fills(world):
        costs.append(Fault.DELAY)
    if any(world.now <= moment < to for moment in _hurries(world)):
        costs.append(Fault.SLOW)
    later = spend(world, *costs)
    if later is not None:
        words = words or f"time passes to +{to - START} ms"
        yield Move(words, later._replace(now=to), faulty or bool(costs))


def _fills(world: World) -> bool:
    """Whether an order is at work: the venue fills a MARKET order at once, and hours are a delay as much as two seconds."""
    return any(
        change.kind is Kind.ACCEPTED and not exchange.ended(world.venue, change.plan, change.attempt)
        for change in world.venue
    )


def _closings(world: World) -> Iterator[Closing]:
    for process in world.processes:
        for closing in process.closings:
            if closing is not None:
                yield closing


def _hurries(world: World) -> Iterator[int]:
    """Until when a process has to have done what it is about to do, or has to begin anew."""
    for closing in _closings(world):
        if closing.phase is not Phase.READY:
            continue
        match EFFECTS[closing.effect]:
            case steps.Send() as send:
                yield send.sending.timestamp + WINDOW // 2
            case steps.PassGate() as gate:
                yield gate.position.requested_at + STALE_MS


def _moments(world: World) -> Iterator[int]:
    yield from (request.deadline for request in world.wire)
    yield from _hurries(world)
    if world.lost_at:
        yield world.lost_at + WINDOW + POLICY.margin
    for closing in _closings(world):
        match STATES[closing.state]:
            case Unknown() as unknown:
                yield unknown.sending.deadline + POLICY.margin
                doubts = unknown.doubts
                if doubts.first_at:
                    yield doubts.first_at + POLICY.spread
                if doubts.contradicted_at:
                    yield doubts.contradicted_at + POLICY.park_after
            case Working() as working if working.doubts.first_at:
                yield working.doubts.first_at + POLICY.spread
            case Waiting() as waiting if waiting.flat_at:
                yield waiting.flat_at + POLICY.spread
