"""Positions as the user data stream tells them, for sizing an order without asking first.

What the stream says may be late or lost, so this is believed only while nothing speaks against it, and checked by every
read of positions that is made anyway. It never proves flat.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.market import Position
from sureclose.domain.words import PositionSide
from sureclose.venue.clock import VenueClock
from sureclose.venue.stream_events import AccountUpdate

LATE_MS: Final = 1_000
"""How long an event may be on its way before a read that shows its effect proves it late or lost."""
DISTRUST_S: Final = 60.0
"""How long a stream that was late or lost something is not believed."""

_Key = tuple[str, PositionSide]


class PositionBook:
    """One account's positions, while the stream is alive. ``steady`` is a clock in seconds that nobody sets.

    ``fresh_ms`` is how recently the connection must have been heard, pongs included.
    """

    def __init__(self, clock: VenueClock, steady: Callable[[], float], *, fresh_ms: int) -> None:
        self._clock = clock
        self._steady = steady
        self._fresh = fresh_ms / 1000
        self._heard_at: Callable[[], float | None] = lambda: None
        self._rows: dict[_Key, Position] = {}
        self._whole = False
        self._distrusted_until = 0.0
        self.generation = 0
        """Goes up with each connection: a read that began under another one says nothing of this one's news."""

    def follow(self, heard_at: Callable[[], float | None]) -> None:
        """Where to ask when the stream was last heard, by the steady clock; ``None`` while there is no connection."""
        self._heard_at = heard_at

    def forget(self) -> None:
        """A connection began or ended: what was known may have changed unheard. A read of all positions begins anew."""
        self._rows.clear()
        self._whole = False
        self.generation += 1

    def distrust(self) -> None:
        """The stream lost something, was late, or was not understood."""
        self.forget()
        self._distrusted_until = self._steady() + DISTRUST_S

    def take(self, event: AccountUpdate) -> None:
        """Positions that changed. Two states of one millisecond can't be told apart, so neither is kept."""
        for told in event.positions:
            key = told.symbol, told.position_side
            known = self._rows.get(key)
            if known is not None and event.time < known.update_time:
                continue
            if known is not None and event.time == known.update_time and told.amount != known.amount:
                del self._rows[key]
                self._whole = False
                continue
            self._rows[key] = Position(
                symbol=told.symbol,
                position_side=told.position_side,
                amount=told.amount,
                entry_price=told.entry_price,
                mark_price=Decimal(0) if known is None else known.mark_price,
                update_time=event.time,
                requested_at=0,
                told=True,
            )

    def check(self, rows: Iterable[Position], *, whole: bool, generation: int) -> None:
        """Rows of a read that was begun in a ``generation``.

        One that shows what the stream should have told long before proves it late or lossy.
        """
        if generation != self.generation:
            return
        for row in rows:
            key = row.symbol, row.position_side
            known = self._rows.get(key)
            if known is not None and _missed(known, row):
                self.distrust()
                return
            if (known is None and whole) or (known is not None and row.update_time >= known.update_time):
                self._rows[key] = row
        self._whole = self._whole or whole

    @property
    def delivers(self) -> bool:
        """Whether the stream is heard, and no read has shown that it kept something back."""
        heard_at, now = self._heard_at(), self._steady()
        return heard_at is not None and now - heard_at <= self._fresh and now >= self._distrusted_until

    def position(self, symbol: str, position_side: PositionSide) -> Position | None:
        """An open position as it was when the stream was last heard; ``None`` when that is not known well enough."""
        heard_at, now = self._heard_at(), self._steady()
        if heard_at is None or not self.delivers or not self._whole:
            return None
        known = self._rows.get((symbol, position_side))
        if known is None or not known.amount or not self._clock.measured:
            return None
        age_ms = round((now - heard_at) * 1000)
        return msgspec.structs.replace(known, requested_at=self._clock.earliest() - age_ms - 1, told=True)


def _missed(known: Position, row: Position) -> bool:
    """Whether the read shows a change that was made long before it and that the stream has not told."""
    changed = row.update_time > known.update_time or (
        not row.amount and known.amount != 0 and not row.update_time
    )
    return changed and row.requested_at - row.update_time > LATE_MS
