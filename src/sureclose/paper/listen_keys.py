"""Listen keys: who may hear the account's events, and until when. They don't outlive the process."""

import secrets
from collections.abc import Callable

from sureclose.paper.errors import VenueError

VALID_MS = 3_600_000


class ListenKeys:
    """At most one valid key, as Binance keeps one for an account; valid for 60 minutes from the last sign of life."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        self.when_stopped: Callable[[str], None] | None = None

    def start(self, now: int) -> str:
        """The valid key, extended, or a new one."""
        self._until = {key: until for key, until in self._until.items() if until > now}
        key = next(iter(self._until), None) or secrets.token_hex(32)
        self._until[key] = now + VALID_MS
        return key

    def extend(self, key: str | None, now: int) -> str:
        if key is None:
            key = next(iter(self._until), "")
        if not self.is_valid(key, now):
            raise VenueError(-1125)
        self._until[key] = now + VALID_MS
        return key

    def stop(self, key: str | None) -> None:
        """End `key`, or whichever is valid."""
        for one in list(self._until) if key is None else [key]:
            if self._until.pop(one, None) is not None and self.when_stopped is not None:
                self.when_stopped(one)

    def is_valid(self, key: str, now: int) -> bool:
        return self._until.get(key, 0) > now

    def run_out(self, now: int) -> None:
        """Let the time of every key be over."""
        self._until = dict.fromkeys(self._until, now)

    def expire(self, now: int) -> list[str]:
        """Keys whose time is over, each told once."""
        over = [key for key, until in self._until.items() if until <= now]
        for key in over:
            del self._until[key]
        return over
