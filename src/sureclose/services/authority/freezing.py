"""The one way in which the authority record changes: read it, work out the next one, write it unless it moved meanwhile."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from sureclose.domain import authority as rules
from sureclose.domain import switching
from sureclose.domain.authority import Authority, CantChange, Cause, Component, Ground, LastLease, Trigger
from sureclose.domain.market import Position
from sureclose.journal import authority
from sureclose.journal.authority import Changed
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.switching import move_grant
from sureclose.services.authority.events import authority_event
from sureclose.services.reading import Wiring
from sureclose.streams.clock import LogClock
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire
from sureclose.venue.errors import VenueError

log = structlog.get_logger()

POSITIONS_S: Final = 1.0
"""How long a freeze waits for the list of what is open: it must not wait for a venue that is down."""

Next = Callable[[Authority], Authority]


class Holdings(Protocol):
    """Who knows what is open."""

    async def positions(self) -> Sequence[Position]: ...


class AuthorityDesk:
    """Changes grant and freeze in the name of one process or person."""

    def __init__(self, wire: Wire, keys: Keys, wiring: Wiring, clock: LogClock, venue: Holdings) -> None:
        self._wire = wire
        self._keys = keys
        self._wiring = wiring
        self._clock = clock
        self._venue = venue

    async def standing(self) -> Authority:
        return await authority.standing(self._wire, self._keys)

    async def begin(self, component: Component | None) -> Authority:
        """The first record of the account: a BOOTSTRAP grant, or without a component a freeze. What is there stays."""
        positions = await self._positions() if component is None else ""

        def begun(before: Authority) -> Authority:
            return (
                before if before.recorded else rules.first(component, self._clock.now(), positions=positions)
            )

        return await self._change(begun)

    async def freeze(
        self,
        trigger: Trigger,
        reason: str,
        *,
        actor: str = "",
        least: int = 0,
        absent: LastLease | None = None,
    ) -> Authority:
        """Freeze the account for this reason as well; ``absent`` makes it depend on that nobody took the lease since.

        Returns the record as it is then. Raises ``RedisError``.
        """
        positions = await self._positions()
        cause = Cause(trigger=trigger, reason=reason, at=self._clock.now(), actor=actor)
        return await self._change(
            lambda before: rules.freeze(before, cause, positions=positions, least=least), absent=absent
        )

    async def demote(self, component: str, ground: Ground, reason: str, *, actor: str = "") -> Authority:
        """Take the grant away, which freezes the account. Raises ``CantChange`` when the component does not hold it."""
        positions = await self._positions()
        trigger = Trigger.BREACH if ground is Ground.BREACH else Trigger.DEMOTED
        cause = Cause(trigger=trigger, reason=reason, at=self._clock.now(), actor=actor)
        return await self._change(
            lambda before: rules.demote(before, component, ground, cause, positions=positions)
        )

    async def grant(
        self, seen: Authority, component: Component, *, audit: str, judged_at: int, actor: str, reason: str
    ) -> Authority:
        """Give the grant; a freeze stays. Raises ``CantChange`` while another component holds it, and as ``unfreeze`` does."""
        now = self._clock.now()

        def given(before: Authority) -> Authority:
            _require(before, seen)
            more = {"audit": audit, "judged_at": str(judged_at), "actor": actor, "reason": reason}
            return rules.grant(before, component, "AUDIT", now, **more)

        return await self._change(given)

    async def unfreeze(self, seen: Authority, *, audit: str, judged_at: int, actor: str) -> Authority:
        """Lift the freeze that was ``seen``; raises ``CantChange`` when it is another one by now, or there is none.

        ``judged_at`` is when the audit began: what is found after that still ends the grant.
        """
        now = self._clock.now()

        def lifted(before: Authority) -> Authority:
            _require(before, seen)
            return rules.unfreeze(before, now, audit=audit, judged_at=str(judged_at), unfrozen_by=actor)

        return await self._change(lifted)

    async def begin_switch(self, to: Component, *, actor: str) -> Authority:
        """Name the next holder of the grant; raises ``CantChange`` when that can't be."""
        now = self._clock.now()
        return await self._change(lambda before: switching.begun(before, to, now, actor))

    async def withdraw_switch(self, begun: Authority) -> Authority:
        """Take that name back, unless the grant has moved."""
        return await self._change(lambda before: switching.withdrawn(before, begun))

    async def move_grant(self, held: Lease | None) -> Authority | None:
        """Move the grant to the next holder and give up the lease with it; the record then.

        ``None`` when no switch is under way, or the lease is not ``held``: without one, when somebody has it.
        """
        while True:
            before = await self.standing()
            if switching.next_of(before) is None:
                return None
            after = switching.moved(before, self._clock.now())
            (said,) = self._events(before, after)
            changed = await move_grant(
                self._wire,
                self._keys,
                before,
                after,
                held=held,
                events=self._wiring.streams.full(StreamName.AUTHORITY_EVENTS),
                said=said,
            )
            if changed is Changed.OK:
                _tell(before, after)
                return after
            if changed is Changed.HELD:
                return None

    async def _change(self, work_out: Next, *, absent: LastLease | None = None) -> Authority:
        while True:
            before = await self.standing()
            after = work_out(before)
            if after == before:
                return before
            changed = await authority.change(
                self._wire,
                self._keys,
                before,
                after,
                events=self._wiring.streams.full(StreamName.AUTHORITY_EVENTS),
                said=self._events(before, after),
                absent=absent,
            )
            if changed is Changed.OK:
                _tell(before, after)
                return after
            if changed is Changed.HELD:
                return before

    def _events(self, before: Authority, after: Authority) -> Iterable[Mapping[str, str]]:
        for word, facts in told(before, after):
            yield authority_event(
                word, facts, self._wiring.producer, self._clock.now(), self._wiring.rules.mode
            )

    async def _positions(self) -> str:
        """What is open, as JSON, or why that is not known: a failed read is no empty answer."""
        try:
            async with asyncio.timeout(POSITIONS_S):
                held = await self._venue.positions()
        except TimeoutError:
            return f"unknown: the venue did not answer within {POSITIONS_S:g} s"
        except (VenueError, OSError) as error:
            return f"unknown: {error}"
        listed = [
            {"symbol": one.symbol, "position_side": one.position_side, "amount": f"{one.amount:f}"}
            for one in held
        ]
        return msgspec.json.encode(listed).decode()


def _require(before: Authority, seen: Authority) -> None:
    """A right rests on evidence that was looked at for this very record."""
    if before != seen:
        raise CantChange("the authority record has changed meanwhile; look at it, then repeat this")


def told(before: Authority, after: Authority) -> Iterable[tuple[str, Mapping[str, str]]]:
    """What ``authority.events`` says of a change, in this order."""
    if before.grant and not after.grant:
        facts = after.freeze
        yield (
            "DEMOTED",
            {name: facts.get(name, "") for name in ("demoted", "ground", "why_demoted", "revision")},
        )
    news = [cause for cause in after.triggers if cause not in before.triggers]
    for cause in news:
        if cause.trigger is Trigger.BREACH:
            yield "AUTHORITY_BREACH", {"reason": cause.reason, "actor": cause.actor}
    if news:
        yield "AUTHORITY_FREEZE", after.freeze
    if before.frozen and not after.frozen:
        yield "AUTHORITY_UNFREEZE", after.grant
    elif after.grant and any(
        after.grant[name] != before.grant.get(name) for name in ("component", "kind", "at")
    ):
        yield "GRANTED", after.grant


def _tell(before: Authority, after: Authority) -> None:
    for word, facts in told(before, after):
        say = log.warning if word in {"GRANTED", "AUTHORITY_UNFREEZE"} else log.critical
        say(word.lower(), **{name: facts[name] for name in ("component", "kind", "reason") if name in facts})
