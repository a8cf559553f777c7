"""``audit``: the five questions, answered from the venue's own records joined with the journal, and kept as evidence."""

import asyncio
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from sureclose import __version__
from sureclose.domain.authority import Component
from sureclose.domain.times import iso_ms
from sureclose.journal import audits, authority
from sureclose.journal.audits import AuditRecord
from sureclose.journal.checking.audited import (
    AuditedPlan,
    Evidence,
    Minimum,
    Probe,
    TracedOrder,
    Verdict,
    Versions,
)
from sureclose.journal.checking.questions import Material, judge
from sureclose.operate import map_file
from sureclose.operate.audit_period import PeriodRefused, period_since
from sureclose.operate.audit_reading import read
from sureclose.operate.audit_venue import lines
from sureclose.operate.session import Session
from sureclose.operate.verify import Progress
from sureclose.services.settings import Path as ExecutionPath

__all__ = ["Audited", "CannotAudit", "PeriodRefused", "audit"]

CONTROLLERS: Final = (Component.EXECUTION_SERVICE, Component.HARVEST_BRAIN)
"""Those that an audit can be about: a grant names one of them."""
_OF_PATH: Final = {
    ExecutionPath.EXECUTION_SERVICE: Component.EXECUTION_SERVICE,
    ExecutionPath.HARVEST_BRAIN: Component.HARVEST_BRAIN,
}
_HEADS: Final = 200
"""How many of the closes that an audit rests on are named in the log, the newest; the file has them all."""


class CannotAudit(Exception):
    """What was asked for is not one audit; the message says what to ask for."""


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """One audit as it was kept, and what became of the map document."""

    record: AuditRecord
    evidence: Evidence
    path: Path
    map: str


async def audit(
    session: Session,
    since: str | None,
    component: Component | None,
    progress: Progress,
    probe: Probe | None = None,
) -> Audited:
    """Look at the venue's records and the journal since then, judge, and keep what was found, passed or not.

    Raises ``PeriodRefused``, ``CannotAudit``, ``VenueError`` when the venue does not even tell the time, ``RedisError``
    and ``OSError``.
    """
    began_at = session.clock.now()
    await session.venue.measure_clock()
    until = await session.venue.server_time()
    start = period_since(since, until)
    progress(f"from {iso_ms(start)} to {iso_ms(until)}, by the venue's time")
    found = await read(session, start, until, progress)
    about = component or await _who(session, found.orders)
    settings = session.authority
    material = Material(
        component=about,
        checks=found.report.checks,
        plans=found.plans,
        orders=found.orders,
        unjoined=found.unjoined,
        foreign=found.foreign,
        reigns=found.reigns,
        probe=probe,
        minimum=Minimum(
            closes=settings.audit_min_closes,
            restarts=settings.audit_min_restarts,
            exclusive_exits=settings.exclusive_exits,
        ),
        unread=found.unread,
    )
    questions = judge(material)
    report = await session.log.check()
    evidence = Evidence(
        account=session.keys.account,
        environment=session.mode,
        component=about,
        at=session.clock.now(),
        began_at=began_at,
        period=found.period,
        passed=all(question.verdict is Verdict.PASSES for question in questions),
        newest_evidence_at=max((plan.last_at for plan in material.proven), default=0),
        minimum=material.minimum,
        questions=questions,
        plans=found.plans,
        idle=found.idle,
        orders=found.orders,
        unjoined=found.unjoined,
        foreign=found.foreign,
        reigns=found.reigns,
        probe=probe,
        positions=lines(found.positions),
        unread=found.unread,
        versions=Versions(
            sureclose=__version__, python=platform.python_version(), log=f"{report.name} {report.version}"
        ),
        heads=_heads(material.proven),
    )
    return await _keep(session, evidence)


async def _keep(session: Session, evidence: Evidence) -> Audited:
    """The file first, then the log: a crash in between leaves a file that counts for nothing."""
    content = audits.encode(evidence)
    record = audits.record_of(evidence, content)
    path = await asyncio.to_thread(audits.keep, session.folder, record.id, content)
    await audits.record(session.wire, session.keys, record)
    kept = Audited(record=record, evidence=evidence, path=path, map="")
    return msgspec.structs.replace(kept, map=await map_file.rewrite_map(session, record, evidence))


async def _who(session: Session, orders: Iterable[TracedOrder]) -> Component:
    """The component that executed; where none did, the one that would."""
    names = {order.component for order in orders if not order.rebuilt}
    executed = [component for component in CONTROLLERS if component in names]
    if len(executed) > 1:
        named = " and ".join(executed)
        raise CannotAudit(
            f"{named} both executed in this period: name one with --component, or begin later with --since"
        )
    if executed:
        return executed[0]
    standing = await authority.standing(session.wire, session.keys)
    held = next((component for component in CONTROLLERS if component == standing.component), None)
    return held or _OF_PATH[session.execution.path]


def _heads(proven: Iterable[AuditedPlan]) -> dict[str, str]:
    newest = sorted(proven, key=lambda plan: plan.last_at)[-_HEADS:]
    return {plan.plan_id: plan.head for plan in newest}
