"""What the venue was asked about an attempt of unknown fate."""

import msgspec

from sureclose.domain.market import OrderReport, Position, Trade


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All orders and trades of the symbol since the attempt's own position read, and the position now.

    ``begun_at`` is a time read from the venue itself before the first of these reads. The position is read first, so
    that the trades after it can tell how it came about. ``orders`` also holds the order of every trade, however old.
    """

    begun_at: int
    orders: tuple[OrderReport, ...]
    trades: tuple[Trade, ...]
    position: Position
