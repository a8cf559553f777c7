"""The venue's limits: what its headers say is used up, and how long it wants us to wait."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sureclose.venue.port import Purpose
from sureclose.venue.schemas import RateLimit

TOO_MANY_ORDERS: Final = -1015
"""This refusal concerns orders only; reads go on."""

_UNIT_MS: Final = {"SECOND": 1000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}
_KIND: Final = {"REQUEST_WEIGHT": "X-MBX-USED-WEIGHT-", "ORDERS": "X-MBX-ORDER-COUNT-"}
_READ_WEIGHT: Final = 5
"""Of a position, order list or trade list (Binance docs), which are the reads of a close."""
_FIRST_WAIT_MS: Final = 1000
_LONGEST_WAIT_MS: Final = 60_000
_BAN_MS: Final = 120_000
"""The shortest ban (Binance docs, limits: 2 minutes to 3 days), for a 418 that doesn't say how long."""


class _Window:
    """One limit, and what was last heard to be used of it in which of its windows."""

    __slots__ = ("header", "limit", "span", "used", "window")

    def __init__(self, header: str, span: int, limit: int) -> None:
        self.header = header
        self.span = span
        self.limit = limit
        self.window = -1
        self.used = 0

    def note(self, now: int, used: int) -> None:
        window = now // self.span
        # answers overtake each other: within a window the highest count is the latest
        self.used = max(used, self.used) if window == self.window else used
        self.window = window

    def wait_ms(self, now: int, more: int, allowed: float) -> int:
        """How long until ``more`` on top of what is used is allowed again; windows begin on the venue's clock."""
        if now // self.span != self.window or self.used + more <= allowed:
            return 0
        return self.span - now % self.span


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
        self._all_until = 0.0
        self._orders_until = 0.0
        self._refusals = 0

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

    def note(self, http_status: int, headers: Mapping[str, str]) -> None:
        """Take in the counts of an answer; one that is no limit refusal ends the growing of waits."""
        if http_status not in (418, 429):
            self._refusals = 0
        now = self._now()
        for window in (*self._weights, *self._orders):
            used = headers.get(window.header)
            if used is not None and used.isascii() and used.isdigit():
                window.note(now, int(used))

    def refused(self, http_status: int, code: int | None, retry_after_ms: int) -> None:
        """The venue asked for patience (429, 418, -1003, -1015), with or without saying how much."""
        if retry_after_ms > 0:
            wait = retry_after_ms
        elif http_status == 418:
            wait = _BAN_MS
        else:
            wait = min(_LONGEST_WAIT_MS, _FIRST_WAIT_MS << min(self._refusals, 6))
        self._refusals += 1
        until = self._steady() + wait / 1000
        if code == TOO_MANY_ORDERS:
            self._orders_until = max(self._orders_until, until)
        else:
            self._all_until = max(self._all_until, until)

    def order_wait_ms(self, in_flight: int = 0) -> int:
        """How long the next order has to wait with ``in_flight`` orders whose count has not come back."""
        now = self._now()
        windows = max(window.wait_ms(now, in_flight + 1, window.limit) for window in self._orders)
        windows = windows if self._counted else 0
        return max(self._until(max(self._all_until, self._orders_until)), windows)

    def blocked_ms(self) -> int:
        """How long the venue itself has forbidden an order now."""
        return self._until(max(self._all_until, self._orders_until))

    def read_wait_ms(self, purpose: Purpose) -> int:
        """How long a read has to wait: one that closes for a refusal or a spent budget, another one earlier."""
        now = self._now()
        share = self._share if purpose is Purpose.OBSERVE else 1.0
        windows = max(window.wait_ms(now, _READ_WEIGHT, window.limit * share) for window in self._weights)
        windows = windows if self._counted else 0
        return max(self._until(self._all_until), windows)

    def weight_used(self) -> int:
        """The weight used in the present window as last heard, for gauges."""
        now = self._now()
        return max(window.used if now // window.span == window.window else 0 for window in self._weights)

    def _until(self, moment: float) -> int:
        left = moment - self._steady()
        return max(1, round(left * 1000)) if left > 0 else 0


def retry_after_ms(headers: Mapping[str, str]) -> int:
    """``Retry-After`` in milliseconds; 0 when absent or a date, which the venue doesn't use."""
    text = headers.get("Retry-After", "").strip()
    return int(text) * 1000 if text.isascii() and text.isdigit() and len(text) < 10 else 0
