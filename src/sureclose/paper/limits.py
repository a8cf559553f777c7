"""Rate limits: counted always, enforced when asked for.

Reference: Binance futures exchangeInfo: REQUEST_WEIGHT 2400 a minute per IP, ORDERS 1200 a minute and 300 in 10
seconds per account. An address that goes on after 429 is banned (418): two minutes first, doubling up to three days.
"""

from typing import Any

from sureclose.paper.errors import VenueError, banned

WEIGHT_A_MINUTE = 2_400
ORDERS_A_MINUTE = 1_200
ORDERS_IN_10_S = 300
_MINUTE = 60_000
_TEN_SECONDS = 10_000
_WARNINGS = 10
_FIRST_BAN = 120_000
_LONGEST_BAN = 3 * 86_400_000

RATE_LIMITS: list[dict[str, Any]] = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_A_MINUTE},
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": ORDERS_A_MINUTE},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ORDERS_IN_10_S},
]


class _Window:
    """A count that starts anew with each interval of the clock."""

    __slots__ = ("count", "length", "start")

    def __init__(self, length: int) -> None:
        self.length = length
        self.start = 0
        self.count = 0

    def at(self, now: int) -> int:
        start = now - now % self.length
        if start != self.start:
            self.start, self.count = start, 0
        return self.count

    def seconds_left(self, now: int) -> int:
        return max(1, -(-(self.start + self.length - now) // 1000))


class _Address:
    __slots__ = ("banned_until", "bans", "violations", "weight")

    def __init__(self) -> None:
        self.weight = _Window(_MINUTE)
        self.violations = _Window(_MINUTE)
        self.bans = 0
        self.banned_until = 0


class Limits:
    """Weight per address, orders for the account. A refused request isn't executed; it counts as a violation."""

    def __init__(self, *, enforced: bool) -> None:
        self.enforced = enforced
        self._addresses: dict[str, _Address] = {}
        self._orders_10s = _Window(_TEN_SECONDS)
        self._orders_1m = _Window(_MINUTE)

    def spend(self, ip: str, now: int, *, weight: int, orders_10s: int = 0, orders_1m: int = 0) -> None:
        """Count a request and refuse it if it goes beyond a limit that is enforced."""
        address = self._addresses.setdefault(ip, _Address())
        used = address.weight.at(now) + weight
        if self.enforced:
            self._check_ban(address, ip, now)
            if used > WEIGHT_A_MINUTE:
                self._violate(address, ip, now)
                raise VenueError(
                    -1003, ip=ip, limit=WEIGHT_A_MINUTE, retry_after=address.weight.seconds_left(now)
                )
        address.weight.count = used
        if not orders_10s:
            return
        ten, minute = self._orders_10s.at(now) + orders_10s, self._orders_1m.at(now) + orders_1m
        if self.enforced:
            for count, limit, interval, window in (
                (ten, ORDERS_IN_10_S, "10 SECOND", self._orders_10s),
                (minute, ORDERS_A_MINUTE, "1 MINUTE", self._orders_1m),
            ):
                if count > limit:
                    self._violate(address, ip, now)
                    raise VenueError(
                        -1015, limit=limit, interval=interval, retry_after=window.seconds_left(now)
                    )
        self._orders_10s.count, self._orders_1m.count = ten, minute

    def headers(self, ip: str, now: int, *, orders: bool) -> dict[str, str]:
        address = self._addresses.setdefault(ip, _Address())
        headers = {"X-MBX-USED-WEIGHT-1M": str(address.weight.at(now))}
        if orders:
            headers["X-MBX-ORDER-COUNT-10S"] = str(self._orders_10s.at(now))
            headers["X-MBX-ORDER-COUNT-1M"] = str(self._orders_1m.at(now))
        return headers

    def counts(self, ip: str, now: int) -> list[dict[str, Any]]:
        """The rateLimits of a WebSocket API response."""
        address = self._addresses.setdefault(ip, _Address())
        counts = (address.weight.at(now), self._orders_1m.at(now), self._orders_10s.at(now))
        return [{**limit, "count": count} for limit, count in zip(RATE_LIMITS, counts, strict=True)]

    @staticmethod
    def _check_ban(address: _Address, ip: str, now: int) -> None:
        if now < address.banned_until:
            seconds = -(-(address.banned_until - now) // 1000)
            raise banned(ip, address.banned_until, seconds)

    def _violate(self, address: _Address, ip: str, now: int) -> None:
        address.violations.count = address.violations.at(now) + 1
        if address.violations.count > _WARNINGS:
            address.violations.count = 0
            address.banned_until = now + min(_LONGEST_BAN, _FIRST_BAN << address.bans)
            address.bans = min(address.bans + 1, 16)
            self._check_ban(address, ip, now)
