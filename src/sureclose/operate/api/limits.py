"""How much a door takes: so many requests a second of one name, and so many that wait."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_MOST_NAMES: Final = 4_096
"""Names that are remembered; the one that came least recently is forgotten, and begins with a full bucket."""


class Rates:
    """A token bucket for each name: ``per_s`` a second, and ``burst`` at once. ``monotonic`` gives seconds."""

    def __init__(self, per_s: int, monotonic: Callable[[], float], *, burst: int | None = None) -> None:
        self._per_s = per_s
        self._burst = burst or per_s
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What was left at which time."""

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str) -> float:
        """0 when there was room, and it is taken; else the seconds until there is."""
        now = self._monotonic()
        left, then = self._buckets.get(name, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._per_s)
        taken = left >= 1
        self._buckets[name] = (left - taken, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_NAMES:
            self._buckets.popitem(last=False)
        return 0 if taken else (1 - left) / self._per_s

    def owe(self, name: str, more: int) -> None:
        """What was taken costs so much more than one; it is paid by who comes next."""
        left, then = self._buckets.get(name, (self._burst, self._monotonic()))
        self._buckets[name] = (left - more, then)


class FullHouse(Exception):
    """As many wait already as may."""


class Room:
    """Places for those that wait: long polls and event streams."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    @contextmanager
    def seat(self) -> Iterator[None]:
        """One of them, until it is left. Raises ``FullHouse``."""
        if self.taken >= self.most:
            raise FullHouse
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
