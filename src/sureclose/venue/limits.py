"""The venue's limits: what its headers say is used up, and how long it wants us to wait."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sureclose.venue.port import Purpose
from sureclose.venue.schemas import RateLimit

TOO_MANY_ORDERS: Final = -1015
"""This refusal concerns orders only; reads go on."""

_UNIT_MS: Final = {"SECOND": 1000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}
_KIND: Final = {"REQUEST_WEIGHT": "X-MBX-USED-WEIGHT-", "ORDERS": "X-MBX-ORDER-COUNT-"}
_FIRST_WAIT_MS: Final = 1000
_LONGEST_WAIT_MS: Final = 60_000
_BAN_MS: Final = 120_000
"""The shortest ban (Binance docs, limits: 2 minutes to 3 days), for a 418 that doesn't say how long."""
_EDGE_MS: Final = 250
"""How far our idea of where a window begins may be off: the count of a request that left sooner after it may be the
old window's."""


class _Window:
    """One limit, and what is known to be used of it in the present one of its windows."""

    __slots__ = ("header", "limit", "span", "used", "window")

    def __init__(self, header: str, span: int, limit: int) -> None:
        self.header = header
        self.span = span
        self.limit = limit
        self.window = -1
        self.used = 0

    def note(self, now: int, sent_at: int, told: str | None, own: int) -> None:
        """Take the count of an answer; where it has none, or the old window's, what the request is known to cost."""
        window = now // self.span
        if window != self.window:
            self.window, self.used = window, 0
        if (
            told is not None
            and told.isascii()
            and told.isdigit()
            and (sent_at - _EDGE_MS) // self.span == window
        ):
            # answers overtake each other: within a window the highest count is the latest
            self.used = max(self.used, int(told))
        else:
            self.used += own

    def wait_ms(self, now: int, in_flight: int, more: int, allowed: float) -> int:
        """How long until ``more`` on top of what is used and in flight fits; windows begin on the venue's clock."""
        used = (self.used if now // self.span == self.window else 0) + in_flight
        if used + more <= allowed or used == 0:
            return 0
        return self.span - now % self.span


class _Patience:
    """Until when the venue wants to hear nothing of a kind, in seconds of the steady clock."""

    __slots__ = ("in_a_row", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.in_a_row = 0

    def refused(self, now: float, told_ms: int) -> None:
        """A wait as long as told, else twice the last one. Answers to what had left before it began don't double it."""
        if told_ms > 0:
            self.until = max(self.until, now + told_ms / 1000)
        elif now >= self.until:
            self.until = now + min(_LONGEST_WAIT_MS, _FIRST_WAIT_MS << min(self.in_a_row, 6)) / 1000
            self.in_a_row += 1

    def served(self, now: float) -> None:
        if now >= self.until:
            self.in_a_row = 0

    def left_ms(self, now: float) -> int:
        left = self.until - now
        return max(1, round(left * 1000)) if left > 0 else 0


class Limits:
    """The budget. It leaves room for closes by making other reads wait from ``observe_share`` of the weight on.

    ``now`` is the venue's time in milliseconds, ``steady`` a clock in seconds that nobody sets. Orders weigh nothing
    (Binance docs, new order: 0 IP weight), so weight never holds one back. With ``counted`` off only the venue's
    refusals make anyone wait.
    """

    def __init__(
        self,
        now: Callable[[], int],
        steady: Callable[[], float],
        *,
        weight_limit: int = 2400,
        observe_share: float = 0.8,
        counted: bool = True,
    ) -> None:
        self._now = now
        self._steady = steady
        self._share = observe_share
        self._counted = counted
        self._weights = [_Window("X-MBX-USED-WEIGHT-1M", 60_000, weight_limit)]
        self._orders = [
            _Window("X-MBX-ORDER-COUNT-10S", 10_000, 300),
            _Window("X-MBX-ORDER-COUNT-1M", 60_000, 1200),
        ]
        self._all_patience = _Patience()
        self._order_patience = _Patience()
        self._weight_in_flight = 0

    def configure(self, limits: Iterable[RateLimit]) -> None:
        """Take the limits that exchangeInfo names; kinds and intervals that we don't know stay as they are."""
        for limit in limits:
            prefix, unit = _KIND.get(limit.rate_limit_type), _UNIT_MS.get(limit.interval)
            if prefix is None or unit is None or limit.limit <= 0 or limit.interval_num <= 0:
                continue
            header = f"{prefix}{limit.interval_num}{limit.interval[0]}"
            windows = self._weights if limit.rate_limit_type == "REQUEST_WEIGHT" else self._orders
            for window in windows:
                if window.header == header:
                    window.limit = limit.limit
                    break
            else:
                windows.append(_Window(header, unit * limit.interval_num, limit.limit))

    def began(self, weight: int) -> None:
        """A read of that weight is on its way, until ``ended``."""
        self._weight_in_flight += weight

    def ended(self, weight: int) -> None:
        self._weight_in_flight -= weight

    def note(self, headers: Mapping[str, str], *, sent_at: int, weight: int = 0, orders: int = 0) -> None:
        """Take in the counts of an answer to a request that left at ``sent_at`` and is documented to cost so much.

        Without an answer ``headers`` is empty.
        """
        now = self._now()
        for window in self._weights:
            window.note(now, sent_at, headers.get(window.header), weight)
        for window in self._orders:
            window.note(now, sent_at, headers.get(window.header), orders)

    def refused(self, http_status: int, code: int | None, retry_after_ms: int) -> None:
        """The venue asked for patience (429, 418, -1003, -1015), with or without saying how much."""
        told_ms = _BAN_MS if http_status == 418 and retry_after_ms <= 0 else retry_after_ms
        patience = self._order_patience if code == TOO_MANY_ORDERS else self._all_patience
        patience.refused(self._steady(), told_ms)

    def served(self, *, orders: int = 0) -> None:
        """An answer that was no such refusal came in: the next wait is a short one again."""
        now = self._steady()
        self._all_patience.served(now)
        if orders:
            self._order_patience.served(now)

    def order_wait_ms(self, in_flight: int = 0) -> int:
        """How long the next order has to wait with ``in_flight`` orders whose count has not come back."""
        now = self._now()
        windows = max(window.wait_ms(now, in_flight, 1, window.limit) for window in self._orders)
        windows = windows if self._counted else 0
        return max(self.blocked_ms(), windows)

    def blocked_ms(self) -> int:
        """How long the venue itself has forbidden an order now."""
        now = self._steady()
        return max(self._all_patience.left_ms(now), self._order_patience.left_ms(now))

    def read_wait_ms(self, purpose: Purpose, weight: int) -> int:
        """How long a read has to wait: one that closes for a refusal or a spent budget, another one earlier."""
        now = self._now()
        share = 1.0 if purpose is Purpose.CLOSE else self._share
        windows = max(
            window.wait_ms(now, self._weight_in_flight, weight, window.limit * share)
            for window in self._weights
        )
        windows = windows if self._counted else 0
        return max(self._all_patience.left_ms(self._steady()), windows)

    def weight_used(self) -> int:
        """The weight used in the present window as last heard, for gauges."""
        now = self._now()
        return max(window.used if now // window.span == window.window else 0 for window in self._weights)


def retry_after_ms(headers: Mapping[str, str]) -> int:
    """``Retry-After`` in milliseconds; 0 when absent or a date, which the venue doesn't use."""
    text = headers.get("Retry-After", "").strip()
    return int(text) * 1000 if text.isascii() and text.isdigit() and len(text) < 10 else 0
