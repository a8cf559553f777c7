"""``doctor``: what has to be right before a close can be, one line a check, with what to do about each."""

from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from sureclose.domain.times import iso_ms
from sureclose.domain.words import Mode
from sureclose.journal import authority, lease
from sureclose.journal.fence import read_lineage
from sureclose.journal.keys import Keys
from sureclose.operate import harvest_status
from sureclose.operate.check import Check, Status
from sureclose.operate.leading import leading_path
from sureclose.operate.rehearsal import WARNING, own_streams
from sureclose.operate.session import Session
from sureclose.operate.submitters import foreign_orders, foreign_readers, old_apply_layer
from sureclose.operate.wiring import misplaced, purposes, readings, wired
from sureclose.services.alarms.sinks import destinations
from sureclose.services.authority.path import FRESH_MS
from sureclose.services.authority.registry import announced
from sureclose.services.settings import AlertSettings
from sureclose.streams.errors import LogProblem
from sureclose.venue.errors import VenueError

_CLOCK_WARNING_MS = 500
_SHOWN = 5
"""How many components a line names."""


async def examine(session: Session, *, accept_everysec: bool, execute_is_approval: bool) -> list[Check]:
    """All checks. One that can't be made fails; it never counts as passed."""
    checks: list[Check] = []
    for name, work in (
        ("log", lambda: _log(session, accept_everysec=accept_everysec)),
        ("log identity", lambda: _identity(session)),
        ("venue clock", lambda: _clock(session)),
        ("venue keys", lambda: _keys(session)),
        ("position mode", lambda: _mode(session)),
        ("open positions", lambda: _positions(session)),
        ("authority", lambda: _authority(session)),
        ("executor", lambda: _executor(session)),
        ("components", lambda: _components(session)),
        ("dry run", lambda: _dry_run(session)),
        ("harvest", lambda: harvest_status.check(session)),
        ("second submitter, by orders", lambda: foreign_orders(session)),
        ("second submitter, by readers", lambda: foreign_readers(session)),
        ("old apply layer", lambda: old_apply_layer(session)),
    ):
        checks.append(await _checked(name, work))
    checks += await _wiring(session)
    checks.append(_approval(execute_is_approval=execute_is_approval))
    checks.append(_alarms(session.alerts))
    return checks


async def _checked(name: str, work: Callable[[], Awaitable[Check]]) -> Check:
    try:
        return await work()
    except VenueError as error:
        remedy = error.remedy or "check venue.base_url, the network and the keys"
        return Check(name=name, status=Status.FAIL, detail=str(error), remedy=remedy)
    except (RedisError, LogProblem) as error:
        return Check(
            name=name, status=Status.FAIL, detail=str(error), remedy="check redis.url and the server"
        )


async def _dry_run(session: Session) -> Check:
    """One that is taken for the real thing closes nothing."""
    own = Keys(own_streams(session.streams).prefix, session.keys.account)
    now = session.clock.now()
    said = await announced(session.wire, own)
    living = [one for one in said if one.stopped_at is None and now - one.at <= FRESH_MS]
    if not living:
        return Check(name="dry run", status=Status.OK, detail="none runs")
    detail = f"{', '.join(sorted({f'{one.host}:{one.pid}' for one in living}))}: {WARNING}"
    if await lease.holder(session.wire, session.keys) is not None:
        return Check(name="dry run", status=Status.OK, detail=detail)
    remedy = "nobody real executes; start `sureclose run` without --dry-run when you mean it"
    return Check(name="dry run", status=Status.WARN, detail=detail, remedy=remedy)


async def _log(session: Session, *, accept_everysec: bool) -> Check:
    report = await session.log.check()
    detail = f"{report.name} {report.version} at {session.log.address}, appendfsync {report.appendfsync or 'unknown'}"
    why = report.not_durable_because
    if why is None and report.maxmemory_policy in {"noeviction", ""}:
        return Check(name="log", status=Status.OK, detail=detail)
    if why is None:
        return Check(
            name="log",
            status=Status.FAIL,
            detail=f"{detail}, maxmemory-policy {report.maxmemory_policy}: records may be evicted",
            remedy="set maxmemory-policy noeviction",
        )
    accepted = accept_everysec or session.mode is Mode.PAPER
    return Check(
        name="log",
        status=Status.WARN if accepted else Status.FAIL,
        detail=f"{detail}: {why}",
        remedy="set appendonly yes and appendfsync always",
    )


async def _identity(session: Session) -> Check:
    """Whether it is the log that this machine knows, with all that it acknowledged."""
    name, known = "log identity", session.fence.memory
    lineage = await read_lineage(session.wire, session.keys)
    behind = known.id == lineage.id and lineage.written < known.written
    if behind or known.id not in {"", lineage.id, *lineage.before}:
        return Check(
            name=name,
            status=Status.WARN,
            detail=f"{lineage.id or 'nobody'} with {lineage.written} writes; {known.id} with {known.written} is known here",
            remedy="`sureclose reconcile` shows what is missing; the executor compares with the venue before it sends",
        )
    detail = f"{lineage.id or 'new'}, {lineage.written} writes"
    if not session.log.settings.through_sentinel:
        return Check(name=name, status=Status.OK, detail=detail)
    least = await session.log.least_replicas()
    detail = f"{detail}; the master of {session.log.address}, min-replicas-to-write {'unknown' if least is None else least}"
    if least:
        return Check(name=name, status=Status.OK, detail=detail)
    return Check(
        name=name,
        status=Status.WARN,
        detail=detail,
        remedy="set min-replicas-to-write 1 there, so that a master which was cut off takes no more writes",
    )


async def _clock(session: Session) -> Check:
    venue = session.venue
    await venue.measure_clock()
    skew, error = venue.clock.skew_ms(), venue.clock.error_ms()
    detail = f"the venue's clock is {skew:+d} ms from this machine's, known to {error} ms"
    if abs(skew) > _CLOCK_WARNING_MS:
        remedy = "nothing needs to be done for orders, which use the venue's clock; set this machine's (NTP)"
        return Check(name="venue clock", status=Status.WARN, detail=detail, remedy=remedy)
    return Check(name="venue clock", status=Status.OK, detail=detail)


async def _keys(session: Session) -> Check:
    account = await session.venue.account()
    detail = f"{session.keys.account} accepts our key"
    if account.can_trade:
        return Check(name="venue keys", status=Status.OK, detail=detail)
    return Check(
        name="venue keys",
        status=Status.FAIL,
        detail=f"{detail}, which may not trade",
        remedy="give the key the right to trade futures",
    )


async def _mode(session: Session) -> Check:
    mode = "hedge" if await session.venue.dual_side() else "one-way"
    return Check(name="position mode", status=Status.OK, detail=mode)


async def _positions(session: Session) -> Check:
    held = await session.venue.positions()
    detail = ", ".join(f"{position.symbol} {position.amount:f}" for position in held) or "none"
    return Check(name="open positions", status=Status.OK, detail=detail)


async def _authority(session: Session) -> Check:
    standing = await authority.standing(session.wire, session.keys)
    if standing.frozen:
        why = "; ".join(f"{cause.trigger}: {cause.reason}" for cause in standing.triggers)
        return Check(
            name="authority",
            status=Status.WARN,
            detail=f"frozen: {why or 'no trigger recorded'}",
            remedy="; ".join(standing.ways_out) or "`sureclose authority show` tells the ways out",
        )
    if standing.component is None:
        return Check(
            name="authority",
            status=Status.SKIP,
            detail="nothing recorded yet",
            remedy="the first `sureclose run` records it",
        )
    return Check(
        name="authority",
        status=Status.OK,
        detail=f"{standing.component} holds the grant ({standing.grant.get('kind')})",
    )


async def _executor(session: Session) -> Check:
    held = await lease.holder(session.wire, session.keys)
    if held is None:
        return Check(
            name="executor",
            status=Status.WARN,
            detail="no process holds the lease, so nothing is executed",
            remedy="start `sureclose run`",
        )
    return Check(name="executor", status=Status.OK, detail=f"{held.owner}, epoch {held.epoch}")


async def _components(session: Session) -> Check:
    """Of what was announced, what fell silent without having stopped in order."""
    name, now = "components", session.clock.now()
    said = await announced(session.wire, session.keys)
    running = [one for one in said if one.stopped_at is None]
    gone = [one for one in running if now - one.at > FRESH_MS]
    living = ", ".join(sorted({one.component for one in running if one not in gone})) or "none"
    if not gone:
        return Check(name=name, status=Status.OK, detail=f"running: {living}")
    told = ", ".join(
        f"{one.component} of {one.host}:{one.pid} since {iso_ms(one.at)}" for one in gone[:_SHOWN]
    )
    more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
    return Check(
        name=name,
        status=Status.WARN,
        detail=f"running: {living}; gone without a word: {told}{more}",
        remedy="start them again where they are missed; what was silent for a week is forgotten",
    )


async def _wiring(session: Session) -> list[Check]:
    try:
        found = await readings(session.wire, session.streams)
        leading = await leading_path(session)
    except RedisError as error:
        remedy = "check the log and its rights"
        return [Check(name="wiring", status=Status.FAIL, detail=str(error), remedy=remedy)]
    purpose = purposes(session, leading)
    return [*wired(found, purpose), *misplaced(found, purpose)]


def _approval(*, execute_is_approval: bool) -> Check:
    if execute_is_approval:
        return Check(
            name="execute_is_approval",
            status=Status.WARN,
            detail="decision=EXECUTE counts as an approval",
            remedy="set compat.execute_is_approval = false once every producer says CLOSE",
        )
    return Check(name="execute_is_approval", status=Status.OK, detail="false: only decision=CLOSE approves")


def _alarms(alerts: AlertSettings) -> Check:
    told = destinations(alerts)
    if told:
        return Check(name="alarms", status=Status.OK, detail=f"go to {told}")
    return Check(
        name="alarms",
        status=Status.WARN,
        detail="nobody is told: alarms are in the log of the process and in /metrics only",
        remedy="set alerts.command or alerts.webhook_url",
    )
