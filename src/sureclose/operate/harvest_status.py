"""How harvest stands: its own last word, what its book says, and the alarms about it. From any process of the deployment."""

from typing import Final

import msgspec

from sureclose.domain.harvest.wishes import Wish, decode
from sureclose.journal.harvest import HarvestBook
from sureclose.operate.check import Check, Status
from sureclose.operate.session import Session
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.alarms.ledger import AlarmLedger
from sureclose.services.harvest.conditions import SUBJECT
from sureclose.services.harvest.harvest import STALE_MS
from sureclose.services.harvest.health import Answer, PositionHealth, parsed

_KINDS: Final = (AlarmKind.HARVEST_BLIND, AlarmKind.HARVEST_POLICY, AlarmKind.HARVEST_UNHEEDED)


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm of harvest's that stands."""

    kind: str
    subject: str
    what: str
    remedy: str
    since: str


class Over(msgspec.Struct, frozen=True, kw_only=True):
    """A position that is closed: the last wish in its episode, and how many rungs were taken."""

    symbol: str
    position_side: str
    rung: int
    wish: Wish | None


class HarvestStatus(msgspec.Struct, frozen=True, kw_only=True):
    """``alive`` is whether a process of it spoke a moment ago; ``positions`` are as old as ``age_s`` says."""

    alive: bool
    worker: str
    age_s: float | None
    policy: str
    shadow: tuple[str, ...]
    blind: str
    positions: tuple[PositionHealth, ...]
    conditions: tuple[Condition, ...]
    over: tuple[Over, ...]


async def status(session: Session) -> HarvestStatus:
    """What the log says of it. Asks the venue nothing."""
    book, now = HarvestBook(session.wire, session.keys), session.clock.now()
    health = parsed(await book.health())
    age = None if health is None else max(0, now - health.at)
    alive = age is not None and age <= STALE_MS
    return HarvestStatus(
        alive=alive,
        worker="" if health is None else health.worker,
        age_s=None if age is None else age / 1000,
        policy=session.harvest.policy if health is None else health.policy,
        shadow=session.harvest.shadow if health is None else health.shadow,
        blind="" if health is None else health.blind,
        positions=() if health is None else health.positions,
        conditions=await _conditions(session),
        over=await _over(book),
    )


async def check(session: Session) -> Check:
    """For ``doctor``: whether somebody decides, where anybody ever did, and about every open position."""
    found, name = await status(session), "harvest"
    if found.age_s is None:
        return Check(
            name=name, status=Status.SKIP, detail="nobody of ours decides here: it runs when it is named"
        )
    if not found.alive:
        detail = f"{found.worker} was last heard {found.age_s:.0f} s ago"
        remedy = "start `sureclose run --roles harvest`, or decide by other means"
        return Check(name=name, status=Status.WARN, detail=detail, remedy=remedy)
    if found.conditions:
        detail = "; ".join(f"{one.kind} {one.subject}" for one in found.conditions)
        return Check(
            name=name,
            status=Status.WARN,
            detail=detail,
            remedy="`sureclose harvest status` says what is wrong",
        )
    undecided = sum(one.answer is Answer.UNDECIDED for one in found.positions)
    detail = f"policy {found.policy}, {len(found.positions)} open positions, {undecided} undecided just now"
    return Check(name=name, status=Status.OK, detail=detail)


async def _conditions(session: Session) -> tuple[Condition, ...]:
    found = await AlarmLedger(session.wire, session.keys).standing()
    return tuple(
        Condition(
            kind=str(key.kind),
            subject=key.subject,
            what=kept.alarm.what,
            remedy=kept.alarm.remedy,
            since=kept.alarm.since,
        )
        for key, kept in sorted(found.items())
        if key.kind in _KINDS or (key.kind is AlarmKind.BLIND and key.subject == SUBJECT)
    )


async def _over(book: HarvestBook) -> tuple[Over, ...]:
    """What another version wrote is left out: it says nothing of what is open."""
    found = []
    for raw in (await book.read()).values():
        try:
            kept = decode(raw)
        except ValueError:
            continue
        where = kept.followed
        if not where.is_open:
            over = Over(
                symbol=where.symbol,
                position_side=where.position_side,
                rung=where.episode.rung,
                wish=kept.wish,
            )
            found.append(over)
    return tuple(sorted(found, key=lambda one: (one.symbol, one.position_side)))
