"""The alarms that stand, in the log: what decides, among all processes and over restarts, who tells of one."""

from collections.abc import Collection, Mapping

import msgspec
import structlog

from sureclose.journal.keys import Keys
from sureclose.services.alarms.alarm import Alarm, AlarmKey
from sureclose.streams.script import Script
from sureclose.streams.wire import Wire, pairs

log = structlog.get_logger()

_exchange = Script("""
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
""")


class _Owed(msgspec.Struct, frozen=True):
    owed: tuple[str, ...] = ()


class Kept(msgspec.Struct, frozen=True):
    """A standing alarm, and the sinks that have not been told of it."""

    alarm: Alarm
    owed: tuple[str, ...]


class AlarmLedger:
    """The hash ``keys.alarms``: a field ``kind:subject`` for each standing alarm, the alarm and what is owed as JSON.

    Every method raises ``RedisError`` when the log does not answer; whether the command took effect is then unknown.
    """

    def __init__(self, wire: Wire, keys: Keys) -> None:
        self._wire = wire
        self._hash = keys.alarms

    async def keep(self, alarm: Alarm, owed: Collection[str]) -> bool:
        """Whether it stood not yet, so that it is the caller's to tell."""
        return bool(
            await self._wire.execute_command(b"HSETNX", self._hash, str(alarm.key), _encode(alarm, owed))
        )

    async def drop(self, key: AlarmKey) -> bool:
        """Whether it stood until now, so that its end is the caller's to tell."""
        return bool(await self._wire.execute_command(b"HDEL", self._hash, str(key)))

    async def told(self, key: AlarmKey, sink: str) -> None:
        """That sink knows. Nothing is written when the alarm is over, or somebody else wrote meanwhile."""
        found = await self._wire.execute_command(b"HGET", self._hash, str(key))
        kept = None if found is None else _decode(key, found)
        if kept is None or sink not in kept.owed:
            return
        owed = [name for name in kept.owed if name != sink]
        await _exchange.call(self._wire, [self._hash], [str(key), found, _encode(kept.alarm, owed)])

    async def standing(self) -> Mapping[AlarmKey, Kept]:
        """All that stand. One that this version can't read is passed over: another version keeps it."""
        found = await self._wire.execute_command(b"HGETALL", self._hash)
        decoded = (_decode(name, value) for name, value in pairs(found).items())
        return {kept.alarm.key: kept for kept in decoded if kept is not None}


def _encode(alarm: Alarm, owed: Collection[str]) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(alarm) | {"owed": sorted(owed)})


def _decode(name: object, value: bytes) -> Kept | None:
    try:
        return Kept(msgspec.json.decode(value, type=Alarm), msgspec.json.decode(value, type=_Owed).owed)
    except msgspec.DecodeError as error:
        log.debug("alarm_unreadable", name=str(name), why=str(error))
        return None
