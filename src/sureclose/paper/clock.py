"""The exchange's clock: the given one, set off by as much as the controls ask."""

from collections.abc import Callable


class VenueClock:
    """Milliseconds since the epoch. `offset` (ms) can be changed at any time; it doesn't outlive the process."""

    def __init__(self, base: Callable[[], int]) -> None:
        self._base = base
        self.offset = 0

    def __call__(self) -> int:
        return self._base() + self.offset
