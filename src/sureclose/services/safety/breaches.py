"""Which rules have fired, how long, and which try in the position's episode the next close would be."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sureclose.domain.safety import TRIES, TWICE_MS, Breach, Finding
from sureclose.journal.safety import Fired
from sureclose.services.safety.eyes import Watched


class _First(msgspec.Struct, frozen=True):
    """When a breach was first seen, by the time of its data."""

    at: int


class Breaches:
    """Memory of one process: a breach counts when two looks show it, of data that is a second apart (I8).

    So neither a start nor one wrong price closes anything.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], _First] = {}

    def forget(self) -> None:
        """Whatever fired has to be seen twice again."""
        self._first.clear()

    def confirmed(self, seen: Sequence[Watched]) -> list[tuple[Watched, Finding]]:
        """What fires for the second time; what does not fire any more begins anew."""
        firing = {
            (one.position.symbol, one.position.position_side, one.episode, finding.rule): (one, finding)
            for one in seen
            if one.episode is not None
            for finding in one.firing
        }
        self._first = {key: self._first.get(key, _First(finding.at)) for key, (_, finding) in firing.items()}
        return [found for key, found in firing.items() if found[1].at - self._first[key].at >= TWICE_MS]


def next_tries(confirmed: Iterable[tuple[Watched, Finding]], fired: Iterable[Fired]) -> Iterator[Breach]:
    """The next close of each rule that fired, one that is above the last of its tries included."""
    last = {(one.symbol, one.position_side, one.rule, one.episode): one.number for one in fired}
    for watched, finding in confirmed:
        where, episode = watched.position, watched.episode
        assert episode is not None
        number = last.get((where.symbol, str(where.position_side), finding.rule, episode), 0) + 1
        yield Breach(
            position=where,
            rule=finding.rule,
            seen=finding.seen,
            threshold=finding.threshold,
            episode=episode,
            number=number,
        )


def is_spent(breach: Breach) -> bool:
    return breach.number > TRIES


def one_each(breaches: Iterable[Breach]) -> list[Breach]:
    """One close of each position, whichever of its rules comes first."""
    found: dict[tuple[str, str], Breach] = {}
    for breach in breaches:
        found.setdefault((breach.position.symbol, str(breach.position.position_side)), breach)
    return list(found.values())
