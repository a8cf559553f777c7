"""The safety controller in the log: its arming, its right to one close at a time, and what it says of itself."""

from collections.abc import Mapping
from typing import Final

import msgspec

from sureclose.domain.arming import Armed, Arming
from sureclose.domain.safety import TRIES, VALID_MS, Breach, Rule, intent_id_of, plan_id_of
from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import scripts
from sureclose.journal.fence import Fence
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.verdict import Verdict
from sureclose.streams.wire import Wire, hash_texts

_fire = scripts.load("safety_fire")
_arm = scripts.load("safety_arm")
_end = scripts.load("safety_end")
_say = scripts.load("safety_say")

NEWS_KEPT: Final = 1_440
"""How many events of its health stay among those of authority: a day of one a minute."""


class Fired(msgspec.Struct, frozen=True):
    """The last close of one rule on one position: which episode, which try, which plan."""

    symbol: str
    position_side: str
    rule: Rule
    episode: str
    number: int
    plan_id: str

    @classmethod
    def parse(cls, field: str, value: str) -> "Fired":
        symbol, side, rule = field.split("|")
        episode, number, plan_id = value.split()
        return cls(symbol, side, Rule(rule), episode, int(number), plan_id)


class SafetyBook:
    """The safety controller's keys of one account. ``fence`` is what the process knows of the log."""

    def __init__(self, wire: Wire, keys: Keys, fence: Fence, events: str) -> None:
        self._wire = wire
        self._keys = keys
        self._fence = fence
        self._events = events

    async def arming(self) -> Arming | None:
        """The last arming, whatever became of it."""
        return Arming.of(hash_texts(await self._wire.execute_command(b"HGETALL", self._keys.safety)))

    async def fired(self) -> tuple[Fired, ...]:
        """The last close of each rule and position."""
        found = hash_texts(await self._wire.execute_command(b"HGETALL", self._keys.safety_fired))
        return tuple(Fired.parse(field, value) for field, value in found.items())

    async def arm(self, seen: Arming | None, arming: Arming, event: Mapping[str, str]) -> str:
        """OK, or why not: HELD, NOT_FROZEN (or under another freeze by now), MOVED (somebody else has armed it)."""
        record = [part for pair in arming.record().items() for part in pair]
        reply = await _arm.call(
            self._wire,
            [self._keys.lease, self._keys.freeze, self._keys.safety, self._events],
            [
                arming.freeze_at,
                "0" if seen is None else str(seen.revision),
                len(record),
                *record,
                *_flat(event),
            ],
        )
        assert isinstance(reply, bytes)
        return reply.decode()

    async def end(self, state: Armed, at: int, by: str, event: Mapping[str, str]) -> bool:
        """Whether an arming stood, which is over now."""
        reply = await _end.call(self._wire, [self._keys.safety, self._events], [state, at, by, *_flat(event)])
        return bool(reply)

    async def fire(
        self, held: Lease, breach: Breach, account: str, place: str, event: Mapping[str, str]
    ) -> tuple[Verdict, str]:
        """Record the right to this one close, and the event of it; its entry id with ``Verdict.OK``."""
        intent_id, where = intent_id_of(account, breach), breach.position
        said = _flat(event)
        reach(FaultPoint.BEFORE_FIRE)
        reply = await _fire.call(
            self._wire,
            [
                self._keys.lease,
                self._keys.freeze,
                self._keys.safety,
                self._keys.safety_fired,
                self._keys.safety_right(intent_id),
                self._events,
                self._keys.log,
            ],
            [
                held.owner,
                held.epoch,
                f"{where.symbol}|{where.position_side}|{breach.rule}",
                breach.episode,
                breach.number,
                TRIES,
                plan_id_of(intent_id, where),
                VALID_MS,
                place,
                len(said),
                *said,
                self._fence.token,
            ],
        )
        reach(FaultPoint.AFTER_FIRE)
        assert isinstance(reply, list)
        verdict = Verdict(reply[0].decode())
        if verdict is Verdict.OK:
            self._fence.acknowledged(reply[2])
        return verdict, reply[1].decode()

    async def say(self, event: Mapping[str, str]) -> None:
        """One more piece of news of its health among the authority's events, of which the oldest go."""
        await _say.call(self._wire, [self._events, self._keys.safety_said], [NEWS_KEPT, *_flat(event)])

    async def keep_health(self, document: bytes) -> None:
        """What the controller says of itself now, for whoever asks."""
        await self._wire.execute_command(b"SET", self._keys.safety_health, document)

    async def health(self) -> bytes | None:
        found = await self._wire.execute_command(b"GET", self._keys.safety_health)
        assert found is None or isinstance(found, bytes)
        return found


def _flat(event: Mapping[str, str]) -> list[bytes | str | int]:
    return [part for pair in event.items() for part in pair]
