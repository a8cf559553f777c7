"""Everything that can happen next in a world."""

from collections.abc import Iterator

from sureclose.domain import steps
from sureclose.domain.close import New
from tests.model import exchange
from tests.model.book import acknowledge
from tests.model.clock import passing
from tests.model.core import folded
from tests.model.faults import PLACE, Bounds, Fault
from tests.model.move import Move
from tests.model.mutants import Mutant
from tests.model.news import news
from tests.model.rebuild import rebuilt
from tests.model.shell import Shell
from tests.model.terms import EFFECTS, POLICY, STATES
from tests.model.world import (
    NAMES,
    PLANS,
    WINDOW,
    Change,
    Close,
    Closing,
    Kind,
    Phase,
    Request,
    World,
    holds,
    spend,
    with_process,
)


class Moves:
    """The moves within one bound; ``broken`` is a mistake made on purpose."""

    def __init__(self, bounds: Bounds, broken: Mutant | None = None) -> None:
        self._bounds = bounds
        self._broken = broken
        self._shell = Shell(bounds, broken)

    def of(self, world: World) -> Iterator[Move]:
        return map(self._without_what_is_lost, self._all(world))

    def _all(self, world: World) -> Iterator[Move]:
        yield from self._venue(world)
        for name, process in enumerate(world.processes):
            yield from self._lease(world, name)
            yield from self._delivered(world, name)
            for plan, closing in enumerate(process.closings):
                if closing is not None:
                    yield from self._shell.goes_on(world, name, plan)
                    yield from news(world, name, plan, self._shell)
            yield from self._dies(world, name)
        yield from self._authority(world)
        yield from self._copy(world)
        yield from passing(world)

    def _without_what_is_lost(self, move: Move) -> Move:
        """A process without the lease keeps what it is about to ask of the gate, to send or to publish, and nothing else.

        Every script refuses it, and what it reads and hears leads to nothing else, so that is left out.
        """
        world = move.world
        for name, process in enumerate(world.processes):
            if not process.epoch or holds(world, name):
                continue
            closings = tuple(one if one is not None and _asks(one) else None for one in process.closings)
            if not any(closings):
                world = self._shell.leave(world, name)
            elif closings != process.closings or any(process.held):
                nothing = (False,) * len(process.held)
                world = with_process(world, name, process._replace(closings=closings, held=nothing))
        return move if world is move.world else move._replace(world=world)

    # The venue

    def _venue(self, world: World) -> Iterator[Move]:
        for request in world.wire:
            yield from self._arrives(world, request)
        for change in world.venue:
            if change.kind is Kind.ACCEPTED and not exchange.ended(world.venue, change.plan, change.attempt):
                yield from self._works(world, change)
        other = spend(world, Fault.FOREIGN)
        if other is not None:
            for amount in self._bounds.foreign:
                yield Move(
                    f"somebody trades {amount:+}", _changed(other, Kind.FOREIGN, -1, 0, amount), faulty=True
                )
        drift = spend(world, Fault.DRIFT)
        if drift is not None:
            yield Move(
                "the position moves by -1 without a trade",
                _changed(drift, Kind.DRIFTED, -1, 0, -1),
                faulty=True,
            )

    def _arrives(self, world: World, request: Request) -> Iterator[Move]:
        left = list(world.wire)
        left.remove(request)
        there = world._replace(wire=tuple(left))
        plan, attempt = request.plan, request.attempt
        what = f"attempt {attempt} of {PLANS[plan]}"

        def kept(after: World, kind: Kind, amount: int) -> World:
            change = Change(after.now, kind, plan, attempt, amount)
            return after._replace(venue=(*after.venue, change))

        if world.now > request.deadline:
            yield Move(f"the venue refuses {what}: -1021, it is late", kept(there, Kind.REFUSED, -1021))
        elif exchange.amount_of(world.venue) <= 0:
            yield Move(
                f"the venue refuses {what}: -2022, nothing to reduce", kept(there, Kind.REFUSED, -2022)
            )
        else:
            yield Move(f"the venue accepts {what}", kept(there, Kind.ACCEPTED, request.quantity))
        dropped = spend(there, Fault.DROP)
        if dropped is not None:
            yield Move(f"{what} is lost on its way", kept(dropped, Kind.DROPPED, 0), faulty=True)

    def _works(self, world: World, accepted: Change) -> Iterator[Move]:
        """Positions of the model are long, so that what reduces one is a negative amount."""
        plan, attempt = accepted.plan, accepted.attempt
        what = f"attempt {attempt} of {PLANS[plan]}"
        rest = accepted.amount - exchange.filled_of(world.venue, plan, attempt)
        room = max(0, exchange.amount_of(world.venue))
        part = min(rest, room)

        def filled(start: World, amount: int, *, over: bool) -> World:
            after = _changed(start, Kind.FILLED, plan, attempt, -amount) if amount else start
            return _expired(after, plan, attempt) if over else after

        words = f"{what} fills {part} and is over"
        yield Move(words, filled(world, part, over=part < rest))
        hurt = spend(world, Fault.PARTIAL)
        if hurt is None:
            return
        yield Move(f"{what} expires", filled(hurt, 0, over=True), faulty=True)
        if part > 1:
            yield Move(f"{what} fills 1", filled(hurt, 1, over=False), faulty=True)
            yield Move(f"{what} fills 1 and expires", filled(hurt, 1, over=True), faulty=True)

    # Processes

    def _lease(self, world: World, name: int) -> Iterator[Move]:
        process, log, who = world.processes[name], world.log, NAMES[name]
        if process.epoch and not holds(world, name):
            words = f"{who} learns that its lease is gone"
            yield Move(words, self._shell.leave(world, name))
        if log.holder == who:
            gone = world if not process.epoch else spend(world, Fault.STOP)
            if gone is not None:
                ended = gone._replace(log=log._replace(holder=""))
                yield Move(f"the lease of {who} runs out", ended, faulty=gone is not world)
        # Which of them begins makes no difference, so it is the first.
        if not process.epoch and log.holder in {"", who} and (log.epoch or world.lost_at or name == 0):
            yield from self._takes(world, name)

    def _takes(self, world: World, name: int) -> Iterator[Move]:
        """The lease, and every close that the journal holds unfinished; after a loss of the log, what is lost first."""
        who, words = NAMES[name], f"{NAMES[name]} takes the lease"
        if world.lost_at:
            waited = world.now > world.lost_at + WINDOW + POLICY.margin
            if not waited and self._broken is not Mutant.NO_WAIT:
                return
            world = self._reconciled(world)
            words += " and joins the venue's orders with what is left of the log"
        epoch = world.log.epoch + 1
        log = world.log._replace(holder=who, epoch=epoch)
        process = world.processes[name]._replace(epoch=epoch)
        world = with_process(world, name, process)._replace(log=log, highest=max(epoch, world.highest))
        for plan, close in enumerate(log.closes):
            if close.state == "OPEN":
                world = self._shell.begin(world, name, plan, -1)
        yield Move(words, world)

    def _reconciled(self, world: World) -> World:
        closes = []
        for plan, close in enumerate(world.log.closes):
            if self._broken is Mutant.NO_REBUILD:
                closes.append(close)
                continue
            entry = self._shell.entries_of(plan)[0]
            fraction = self._bounds.fractions[plan]
            closes.append(rebuilt(close, plan, fraction, entry, world.venue, world.now))
        flight = next((PLANS[plan] for plan, close in enumerate(closes) if _in_flight(close)), "")
        claim = world.log.claim if world.log.claim is None else world.log.claim or flight
        log = world.log._replace(epoch=world.highest, closes=tuple(closes), flight=flight, claim=claim)
        return world._replace(log=log, lost_at=0)

    def _delivered(self, world: World, name: int) -> Iterator[Move]:
        """Whoever holds the lease reads: entries that are new, and those that another had pending."""
        process = world.processes[name]
        if not holds(world, name):
            return
        for entry, acknowledged in enumerate(world.log.acknowledged):
            if acknowledged or process.held[entry]:
                continue
            if self._bounds.copies == 1 and process.closings[entry]:
                continue  # taken up from the journal, with the entry that it acknowledges
            plan = next(place for place in range(len(PLANS)) if entry in self._shell.entries_of(place))
            words = f"{NAMES[name]} is given entry {entry + 1}, a decision of {PLANS[plan]}"
            held = tuple(was or place == entry for place, was in enumerate(process.held))
            given = with_process(world, name, process._replace(held=held))
            if self._broken is Mutant.ACK_EARLY:
                given = given._replace(log=acknowledge(given.log, (entry,)))
            if process.closings[plan] is None:
                given = self._shell.begin(given, name, plan, entry)
            yield Move(words, given)

    def _dies(self, world: World, name: int) -> Iterator[Move]:
        dead = spend(world, Fault.CRASH)
        if dead is not None and (world.processes[name].epoch or any(world.processes[name].closings)):
            yield Move(f"{NAMES[name]} dies and starts again", self._shell.leave(dead, name), faulty=True)

    # The log

    def _authority(self, world: World) -> Iterator[Move]:
        toggled = spend(world, Fault.FREEZE)
        if toggled is not None:
            log = world.log._replace(frozen=not world.log.frozen)
            words = "authority is frozen" if log.frozen else "authority is unfrozen"
            yield Move(words, toggled._replace(log=log), faulty=True)

    def _copy(self, world: World) -> Iterator[Move]:
        """A copy stops following at any time, and takes the log's place at any later one."""
        if world.copy is None:
            if world.budget[PLACE[Fault.TAIL]]:
                yield Move("the copy of the log stops following", world._replace(copy=world.log), faulty=True)
            return
        lost = spend(world, Fault.TAIL)
        if lost is not None and world.copy != world.log:
            old = world.copy._replace(holder="")
            yield Move(
                "the log falls back to its copy",
                lost._replace(log=old, copy=None, lost_at=world.now),
                faulty=True,
            )


def _asks(closing: Closing) -> bool:
    asks = isinstance(EFFECTS[closing.effect], steps.PassGate | steps.Send | steps.Publish)
    return closing.phase is Phase.READY and asks


def _changed(world: World, kind: Kind, plan: int, attempt: int, amount: int) -> World:
    """The position changes, and no two changes have one time."""
    now = world.now + 1
    return world._replace(now=now, venue=(*world.venue, Change(now, kind, plan, attempt, amount)))


def _expired(world: World, plan: int, attempt: int) -> World:
    return world._replace(venue=(*world.venue, Change(world.now, Kind.EXPIRED, plan, attempt, 0)))


def _in_flight(close: Close) -> bool:
    """Whether an attempt of it passed the gate and its outcome is not there: flight ends with the outcome only."""
    state = STATES[folded(close.facts)]
    return close.state == "OPEN" and not isinstance(state, New) and state.progress.fixed
