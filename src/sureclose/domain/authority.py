"""Authority: who may execute machine closes, and how that changes. Every change is a function from record to record.

There is one grant at most, and one freeze. Both share one ``revision``, which only grows: two records of the same revision
that differ can't both be true, and unknown means frozen.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

SCOPE: Final = "exit"
MOST_CAUSES: Final = 50
"""Of those that a freeze remembers: the first, and the newest."""


class Component(StrEnum):
    """What a process can be in the pipeline. A grant names one of the first two."""

    EXECUTION_SERVICE = "execution_service"
    HARVEST_BRAIN = "harvest_brain"
    INTENT_EXECUTOR = "intent_executor"
    APPLY_LAYER = "apply_layer"
    SAFETY_CONTROLLER = "safety_controller"


class Level(StrEnum):
    """What a component is for the scope "exit", computed from what it does."""

    CONTROLLER = "CONTROLLER"
    OBSERVER = "OBSERVER"
    DEAD = "DEAD"


class Ground(StrEnum):
    """Why a grant is taken away. All but the last need nothing but the absence of proof."""

    PATH_BROKEN = "PATH_BROKEN"
    """Approved, and neither filled nor given another outcome."""
    GHOST = "GHOST"
    """Entries wait unread while the lease is held."""
    FAILURE_UNSAFE = "FAILURE_UNSAFE"
    """It failed in a way that leaves a close stuck, or went through zero."""
    SCOPE_VIOLATED = "SCOPE_VIOLATED"
    """An order of ours does not reduce."""
    BREACH = "BREACH"
    """An order of our prefix is not in the journal."""
    COMMAND = "COMMAND"
    """A person said so."""


class Trigger(StrEnum):
    """Why an account is frozen."""

    FIRST_START = "FIRST_START"
    """Nothing is proven yet."""
    ABSENCE = "ABSENCE"
    """Nobody held a valid lease for too long."""
    DEMOTED = "DEMOTED"
    """The last grant was taken away."""
    UNVERIFIABLE = "UNVERIFIABLE"
    """Whether the path works could not be judged for too long."""
    TWO_GRANTS = "TWO_GRANTS"
    """Two grants claim the scope."""
    BREACH = "BREACH"
    """What must never be so is so."""
    LOG_LOST = "LOG_LOST"
    """The log lacks the authority record that was known: unknown means frozen."""
    COMMAND = "COMMAND"
    """A person said so."""


_ANEW: Final = frozenset({Trigger.DEMOTED, Trigger.BREACH, Trigger.LOG_LOST, Trigger.COMMAND})
"""What can happen to an account that is frozen already, and has to be judged by an audit of after it. The others are what
several watchers find at once, each in words of its own."""


class Authority(msgspec.Struct, frozen=True):
    """Grant and freeze as recorded, field by field; empty where there is none."""

    revision: int = 0
    grant: dict[str, str] = {}
    freeze: dict[str, str] = {}

    @classmethod
    def of(cls, grant: dict[str, str], freeze: dict[str, str]) -> "Authority":
        """What carries no revision is as old as can be."""
        return cls(max(int(record.get("revision", "0")) for record in (grant, freeze)), grant, freeze)

    @property
    def recorded(self) -> bool:
        return bool(self.grant or self.freeze)

    @property
    def component(self) -> str | None:
        """Whose grant it is, frozen or not."""
        return self.grant.get("component")

    @property
    def frozen(self) -> bool:
        return bool(self.freeze)

    @property
    def triggers(self) -> tuple["Cause", ...]:
        """Why it is frozen, oldest first."""
        said = self.freeze.get("triggers")
        return () if said is None else msgspec.json.decode(said, type=tuple[Cause, ...])

    @property
    def judged_at(self) -> int:
        """Up to when the audit that the grant rests on has judged, in the log's milliseconds."""
        said = self.grant.get("judged_at", self.grant.get("at", ""))
        return int(said) if said.isdecimal() else 0

    @property
    def ways_out(self) -> tuple[str, ...]:
        """What a person can do about a freeze."""
        said = self.freeze.get("ways_out")
        return () if said is None else msgspec.json.decode(said, type=tuple[str, ...])


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One trigger of a freeze. ``at`` is the log's milliseconds, ``actor`` a person's name where it was one."""

    trigger: Trigger
    reason: str
    at: int
    actor: str = ""

    def repeats(self, other: "Cause") -> bool:
        """Whether it says nothing new beside the other one."""
        if self.trigger is not other.trigger:
            return False
        return self.trigger not in _ANEW or (self.reason, self.actor) == (other.reason, other.actor)


class CantChange(Exception):
    """The record is not one that can change like this; the message says why."""


def first(component: Component | None, at: int, *, positions: str = "") -> Authority:
    """The first record of an account: a BOOTSTRAP grant, or without a component a freeze."""
    if component is None:
        return freeze(
            Authority(),
            Cause(trigger=Trigger.FIRST_START, reason="first start: nothing is proven yet", at=at),
            positions=positions,
        )
    return grant(Authority(), component, "BOOTSTRAP", at, reason="first start")


def freeze(before: Authority, cause: Cause, *, positions: str = "", least: int = 0) -> Authority:
    """Frozen for this cause, too. A freeze that stands gets no second record, only one more trigger, unless that is known.

    ``positions`` is what was open, as JSON, or why that is not known. The revision is ``least`` at least; who asks for a higher
    one knows that it has happened again.
    """
    known = before.triggers
    if before.revision >= least and any(cause.repeats(one) for one in known):
        return before
    revision = max(before.revision + 1, least)
    first, *later = (*(one for one in known if not cause.repeats(one)), cause)
    causes = (first, *later[-(MOST_CAUSES - 1) :])
    record = before.freeze or {
        "scope": SCOPE,
        "kind": str(cause.trigger),
        "at": str(cause.at),
        "reason": cause.reason,
        "actor": cause.actor,
        "positions": positions or "not read",
    }
    changed = record | {"triggers": msgspec.json.encode(causes).decode(), "revision": str(revision)}
    return Authority(revision, before.grant, changed | {"ways_out": _ways_out(before.component)})


def demote(
    before: Authority, component: str, ground: Ground, cause: Cause, *, positions: str = ""
) -> Authority:
    """Without the grant, and so frozen: it was the last. Raises ``CantChange`` when the component does not hold it."""
    if before.component != component:
        raise CantChange(f"{component} does not hold the grant: {before.component or 'nobody'} does")
    left = msgspec.structs.replace(before, grant={})
    after = freeze(left, cause, positions=positions, least=before.revision + 1)
    return msgspec.structs.replace(
        after,
        freeze=after.freeze | {"demoted": component, "ground": str(ground), "why_demoted": cause.reason},
    )


def grant(before: Authority, component: Component, kind: str, at: int, **more: str) -> Authority:
    """The component holds the grant. Raises ``CantChange`` while another one does. A freeze stays."""
    holder = before.component
    if holder is not None and holder != component:
        raise CantChange(
            f"{holder} holds the grant: `sureclose authority switch` moves it, `sureclose authority demote` ends it"
        )
    revision = before.revision + 1
    record = {"component": str(component), "scope": SCOPE, "kind": kind, "at": str(at)} | more
    frozen = before.freeze and before.freeze | {"ways_out": _ways_out(component)}
    return Authority(revision, record | {"revision": str(revision)}, frozen)


def unfreeze(before: Authority, at: int, **more: str) -> Authority:
    """Not frozen any more; that is a new revision of the grant. Raises ``CantChange`` when there is nothing to lift."""
    if not before.frozen:
        raise CantChange("nothing is frozen")
    if before.component is None:
        raise CantChange(
            "nobody holds the grant, so nothing would be unfrozen: `sureclose authority grant NAME --audit ID` first"
        )
    revision = before.revision + 1
    record = before.grant | {"unfrozen_at": str(at), "revision": str(revision)} | more
    return Authority(revision, record, {})


def _ways_out(component: str | None) -> str:
    ways = [
        "a person's closes go on: `sureclose close SYMBOL --wait`",
        "evidence on warrants: `sureclose prove`, then `sureclose audit`",
    ]
    if component is None:
        ways.append("a grant on that audit: `sureclose authority grant NAME --audit ID`")
    ways.append("the end of the freeze: `sureclose unfreeze --audit ID`")
    ways.append("where no executor runs and positions are open: `sureclose safety arm`")
    return msgspec.json.encode(ways).decode()


class LastLease(msgspec.Struct, frozen=True, kw_only=True):
    """The last lease of a controller. Times are the log's milliseconds; ``dropped_at`` is 0 unless it was given up."""

    component: str
    owner: str
    epoch: int
    renewed_at: int
    dropped_at: int = 0

    @classmethod
    def of(cls, record: Mapping[str, str]) -> "LastLease":
        return msgspec.convert(dict(record), cls, strict=False)


def absent_for(last: LastLease, now: int, ttl: int, server_started_at: int) -> int:
    """How long nobody has held a valid lease, if nobody holds one now (milliseconds).

    A lease that ran out counts from its end. One that was given up at a stop counts from when there was a log to take
    the next one on: who stops everything, the embedded log with it, has not failed to prove anything.
    """
    if last.dropped_at:
        return now - max(last.dropped_at, server_started_at)
    return now - (last.renewed_at + ttl)
