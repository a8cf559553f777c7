"""Consumer names as leased slots: ``execution-1``, not a process id.

With a process id in the name each restart leaves a dead consumer behind, with the entries it had (incident 6: 34 of
them in one group). A slot is taken again by the next process, which finds the pending entries under its own name. A
slot only names a reader; it is no fence, because a process stopped in mid-read still gets the next entry. The fence is
the XACK in the publish script, or the gate.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Self

import structlog
from redis.exceptions import RedisError

from sureclose.fault_points import FaultPoint, reach
from sureclose.streams.script import Script
from sureclose.streams.wire import Wire, wait_set

TTL_S = 3.0
RENEW_EVERY_S = 1.0
MOST_SLOTS = 64

_TAKE = Script("""\
for n = 1, #KEYS do
  if redis.call('SET', KEYS[n], ARGV[1], 'NX', 'PX', ARGV[2]) or redis.call('GET', KEYS[n]) == ARGV[1] then return n end
end
return 0
""")
_RENEW = Script("""\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")
_RELEASE = Script("""\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")

_log = structlog.get_logger(__name__)


class NoSlotFree(RuntimeError):
    """All slots of a group are taken: far more processes read it than make sense."""


class Slot:
    """The lowest free consumer name of a group, ours while it is renewed.

    ``lost`` is set when it isn't ours any more: stop reading under ``name``, and take another.
    """

    def __init__(
        self, wire: Wire, key: str, name: str, token: str, held_until: float, monotonic: Callable[[], float]
    ) -> None:
        self.name = name
        self.lost = asyncio.Event()
        self._wire = wire
        self._key = key
        self._token = token
        self._held_until = held_until
        self._monotonic = monotonic

    @classmethod
    async def take(
        cls,
        wire: Wire,
        *,
        prefix: str,
        group: str,
        role: str,
        monotonic: Callable[[], float],
        token: str | None = None,
    ) -> Self:
        """``role`` is the name's first part. Asking again with the same token after a lost reply gives the same slot."""
        token = token or secrets.token_hex(16)
        names, keys = zip(*slot_keys(prefix, group, role).items(), strict=True)
        asked_at = monotonic()
        reach(FaultPoint.BEFORE_SLOT)
        number = await _TAKE.call(wire, list(keys), [token, round(TTL_S * 1000)])
        reach(FaultPoint.AFTER_SLOT)
        if not isinstance(number, int) or number < 1:
            raise NoSlotFree(f"all {MOST_SLOTS} slots of group {group} are taken")
        return cls(wire, keys[number - 1], names[number - 1], token, asked_at + TTL_S, monotonic)

    @property
    def held(self) -> bool:
        """Whether it is certainly ours: the last renewal, counted from when it was asked for, has not run out."""
        return not self.lost.is_set() and self._monotonic() < self._held_until

    async def keep(self, stop: asyncio.Event) -> None:
        """Renew until ``stop`` is set or the slot is lost; a renewal that fails is tried again while there is time."""
        try:
            while not self.lost.is_set() and not await wait_set(stop, RENEW_EVERY_S):
                await self._renew()
        finally:
            if not stop.is_set():
                self.lost.set()

    async def release(self) -> None:
        """Give the name back at once; it runs out by itself if the log can't be reached."""
        try:
            reach(FaultPoint.BEFORE_SLOT_RELEASE)
            await _RELEASE.call(self._wire, [self._key], [self._token])
            reach(FaultPoint.AFTER_SLOT_RELEASE)
        except RedisError as error:
            _log.warning(
                "slot.release_failed", slot=self.name, error=str(error), remedy=f"free in {TTL_S:g} s"
            )

    async def _renew(self) -> None:
        asked_at = self._monotonic()
        try:
            ours = await _RENEW.call(self._wire, [self._key], [self._token, round(TTL_S * 1000)])
        except RedisError as error:
            if self._monotonic() >= self._held_until:
                self._lose(f"not renewed in time: {error}")
            return
        if ours == 1:
            self._held_until = asked_at + TTL_S
        else:
            self._lose("another process has it, or the log lost it")

    def _lose(self, why: str) -> None:
        _log.error("slot.lost", slot=self.name, why=why)
        self.lost.set()


def slot_keys(prefix: str, group: str, role: str) -> dict[str, str]:
    """Every name that a process can have there, and the key that is there while one has it."""
    return {f"{role}-{number}": slot_key(prefix, group, number) for number in range(1, MOST_SLOTS + 1)}


def slot_key(prefix: str, group: str, number: int) -> str:
    return f"{prefix}sureclose:slot:{group}:{number}"
