"""The search: every state that can be reached within a bound, breadth first, so that the first trace is a shortest one."""

import time
from array import array
from collections import deque
from collections.abc import Iterator

import msgspec

from sureclose.domain.facts import Ended
from tests.model import laws
from tests.model.faults import Bounds
from tests.model.laws import L1, Broken
from tests.model.move import Deed, Move
from tests.model.moves import Moves
from tests.model.mutants import Mutant
from tests.model.terms import FACTS
from tests.model.world import World, first


class Trace(msgspec.Struct, frozen=True):
    """How a law was broken: the moves that lead there, and what was seen."""

    law: str
    seen: str
    moves: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{place:3}. {words}" for place, words in enumerate(self.moves, 1)]
        return "\n".join([*lines, f"{self.law} does not hold: {self.seen}"])


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one search came to."""

    bounds: Bounds
    states: int
    transitions: int
    depth: int
    ends: int
    """States in which every close has its outcome."""
    met: tuple[str, ...]
    """The kinds of outcomes, and of the records behind them, that were published: what the search went through."""
    seconds: float
    broken: Trace | None
    whole: bool
    """Whether every state within the bound was seen."""


class _Graph:
    """What was explored: each state once, how it was reached first, and the fault-free moves."""

    def __init__(self, start: World) -> None:
        self.places: dict[World, int] = {start: 0}
        self.parents = array("l", [-1])
        self.words: list[str] = [""]
        self.depths = array("l", [0])
        self.sources = array("l")
        self.targets = array("l")
        self.ends: list[int] = []
        self.excused: set[int] = set()

    def add(self, world: World, parent: int, words: str) -> int | None:
        """The state's number if it is new."""
        place = len(self.words)
        if self.places.setdefault(world, place) != place:
            return None
        self.parents.append(parent)
        self.words.append(words)
        self.depths.append(self.depths[parent] + 1)
        return place

    def trace(self, place: int) -> tuple[str, ...]:
        moves = []
        while place > 0:
            moves.append(self.words[place])
            place = self.parents[place]
        return tuple(reversed(moves))

    def stuck(self) -> int | None:
        """The first state from which no fault-free way leads to an end."""
        before: list[list[int]] = [[] for _ in self.words]
        for source, target in zip(self.sources, self.targets, strict=True):
            before[target].append(source)
        good = bytearray(len(self.words))
        todo = deque(self.ends)
        for place in self.ends:
            good[place] = 1
        while todo:
            for source in before[todo.popleft()]:
                if not good[source]:
                    good[source] = 1
                    todo.append(source)
        return next(
            (place for place, is_good in enumerate(good) if not is_good and place not in self.excused), None
        )


def search(bounds: Bounds, broken: Mutant | None = None, most: int | None = None) -> Found:
    """Explore a bound whole, or up to ``most`` states; it stops at the first law that does not hold."""
    began = time.monotonic()
    moves = Moves(bounds, broken)
    start = first(bounds)
    graph = _Graph(start)
    todo = deque([start])
    transitions = 0
    trace: Trace | None = None
    met: set[str] = set()
    while todo and trace is None and (most is None or len(graph.words) < most):
        world = todo.popleft()
        here = graph.places[world]
        if laws.at_the_end(world):
            graph.ends.append(here)
        if laws.excused(world):
            graph.excused.add(here)
        for move in moves.of(world):
            transitions += 1
            if move.deed is Deed.PUBLISH:
                met |= _met(move)
            after = laws.remembered(world, move)
            fault = next(_broken(bounds, world, move, after, new=after not in graph.places), None)
            if fault is not None:
                trace = _trace(fault, (*graph.trace(here), move.words))
                break
            if graph.add(after, here, move.words) is not None:
                todo.append(after)
            if not move.faulty:
                graph.sources.append(here)
                graph.targets.append(graph.places[after])
    whole = not todo and trace is None
    if whole:
        stuck = graph.stuck()
        if stuck is not None:
            trace = _trace(
                Broken(L1, "there is no fault-free way to an outcome from here"), graph.trace(stuck)
            )
    return Found(
        bounds=bounds,
        states=len(graph.words),
        transitions=transitions,
        depth=max(graph.depths),
        ends=len(graph.ends),
        met=tuple(sorted(met)),
        seconds=time.monotonic() - began,
        broken=trace,
        whole=whole,
    )


def _met(move: Move) -> set[str]:
    facts = [FACTS[number] for number in move.world.log.closes[move.plan].facts]
    ended = FACTS[move.number]
    assert isinstance(ended, Ended)
    return {type(fact).__name__ for fact in facts} | {str(ended.outcome.kind)}


def _broken(bounds: Bounds, world: World, move: Move, after: World, *, new: bool) -> Iterator[Broken]:
    yield from laws.of_move(bounds, world, move)
    if new:
        yield from laws.of_state(bounds, after)


def _trace(broken: Broken, moves: tuple[str, ...]) -> Trace:
    return Trace(broken.law.name, broken.seen, moves)
