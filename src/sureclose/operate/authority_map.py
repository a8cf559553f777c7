"""The authority map: who is controller, observer or dead for the scope "exit", computed from evidence (incidents 77, 91)."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from sureclose.domain.arming import Armed, Arming
from sureclose.domain.authority import Component, Level
from sureclose.domain.components import EXIT, component_of, scope_of
from sureclose.domain.levels import Holder, Reads, Ruling, Signs, Works, Writes, judge
from sureclose.operate.authority_evidence import Gathered, Group, Held, Piece, gather
from sureclose.operate.producers import Trace
from sureclose.operate.session import Session
from sureclose.services.authority.path import FRESH_MS, groups_of
from sureclose.services.settings import HarvestBrainSettings, StreamSettings
from sureclose.services.vitals import Waits
from sureclose.streams.names import StreamName
from sureclose.streams.wire import id_key

_PIPELINE: Final = (
    StreamName.HARVEST_INTENT,
    StreamName.TRADE_INTENT,
    StreamName.APPLY_PLAN,
    StreamName.APPLY_RESULT,
)
"""The streams that somebody has to read for their entries to mean anything."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of evidence about a component, and when what it tells was so."""

    what: str
    at: int | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One component. ``reasons`` say why its level is no higher."""

    component: str
    level: Level
    foreign: bool
    scope: str
    reasons: tuple[str, ...]
    alive_at: int | None
    evidence: tuple[Line, ...]


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    trigger: str
    reason: str
    at: int
    actor: str


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """The freeze as recorded."""

    since: str
    triggers: tuple[Trigger, ...]
    ways_out: tuple[str, ...]
    positions: str
    """What was open when it began, as JSON, or why that is not known."""
    record: dict[str, str]


class Map(msgspec.Struct, frozen=True, kw_only=True):
    """Times are the log's milliseconds. None is not known: ``unknown`` says why."""

    at: int
    account: str
    environment: str
    scope: str
    components: tuple[Row, ...]
    """Controllers first, then observers, then the dead; in each ours before foreign ones."""
    grant: dict[str, str] | None
    frozen: bool | None
    freeze: Freeze | None
    lease: Holder | None
    safety_armed: bool | None
    safety: dict[str, str] | None
    positions: tuple[Held, ...] | None
    uncontrolled: tuple[Held, ...] | None
    """Open positions while there is no controller."""
    audit: dict[str, Any] | None
    unknown: dict[str, str]
    evidence: tuple[Piece, ...]

    def at_level(self, level: Level) -> tuple[Row, ...]:
        """The components of that level."""
        return tuple(row for row in self.components if row.level is level)

    @property
    def controllers(self) -> tuple[Row, ...]:
        """Who is in control: one, where all is well."""
        return self.at_level(Level.CONTROLLER)

    @property
    def healthy(self) -> bool:
        """Exactly one is in control, and nothing is frozen."""
        return len(self.controllers) == 1 and self.frozen is False


async def authority_map(session: Session) -> Map:
    """Gather the evidence and judge it. Raises ``RedisError`` when the log does not answer."""
    return compute(
        await gather(session),
        account=session.keys.account,
        environment=str(session.mode),
        streams=session.streams,
        harvest=session.harvest_brain,
        most_in_flight=session.execution.most_in_flight,
        ghost_ms=session.authority.ghost_s * 1000,
    )


def compute(
    found: Gathered,
    *,
    account: str,
    environment: str,
    streams: StreamSettings,
    harvest: HarvestBrainSettings,
    most_in_flight: int,
    ghost_ms: int,
) -> Map:
    """The map that this evidence makes."""
    standing = found.standing
    ruling = Ruling(
        granted=None if standing is None else standing.component,
        frozen=None if standing is None else standing.frozen,
        triggers=() if standing is None else tuple(str(cause.trigger) for cause in standing.triggers),
        holder=found.holder,
    )
    rows = [
        _row(found, signs, ruling, ghost_ms)
        for signs in _components(found, streams, harvest, most_in_flight, ruling)
    ]
    order = list(Level)
    nobody = all(row.level is not Level.CONTROLLER for row in rows)
    return Map(
        at=found.at,
        account=account,
        environment=environment,
        scope=EXIT,
        components=tuple(sorted(rows, key=lambda row: order.index(row.level))),
        grant=None if standing is None else standing.grant,
        frozen=ruling.frozen,
        freeze=_freeze(found),
        lease=found.holder,
        safety_armed=_armed(found),
        safety=found.safety,
        positions=found.positions,
        uncontrolled=found.positions if nobody or found.positions is None else (),
        audit=found.audit,
        unknown=found.unread(),
        evidence=found.pieces,
    )


def _armed(found: Gathered) -> bool | None:
    """Whether the arming of the safety controller counts now; None when its record can't be read as one."""
    if found.safety is None or found.standing is None:
        return None
    try:
        arming = Arming.of(found.safety)
    except msgspec.ValidationError:
        return None
    if arming is None or arming.state is not Armed.ARMED or arming.overdue(found.at):
        return False
    return found.standing.frozen and found.standing.freeze.get("at") == arming.freeze_at


def _freeze(found: Gathered) -> Freeze | None:
    standing = found.standing
    if standing is None or not standing.frozen:
        return None
    record = standing.freeze
    return Freeze(
        since=record.get("at", ""),
        triggers=tuple(
            Trigger(trigger=str(cause.trigger), reason=cause.reason, at=cause.at, actor=cause.actor)
            for cause in standing.triggers
        ),
        ways_out=standing.ways_out,
        positions=record.get("positions", "not read"),
        record=record,
    )


# Who there is -------------------------------------------------------------------------------------------------------


def _components(
    found: Gathered,
    streams: StreamSettings,
    harvest: HarvestBrainSettings,
    most_in_flight: int,
    ruling: Ruling,
) -> Iterator[Signs]:
    """Ours first, by name: those announced, granted, holding the lease, or known by what they read and wrote."""
    announced, groups, traces = found.announced or (), found.groups or (), found.traces or ()
    own = {str(component): groups_of(streams, harvest, component) for component in Component}
    there = {(group.stream, group.group) for group in groups}
    names = {one.component for one in announced} | {trace.name for trace in traces if trace.ours}
    names |= {component for component, places in own.items() if there & set(places)}
    names |= {ruling.granted or "", "" if ruling.holder is None else ruling.holder.component}
    for name in sorted(names & {*own, *(one.component for one in announced)}):
        said = tuple(one for one in announced if one.component == name)
        places = own.get(name, ())
        full = any(
            one.facts.waits in {Waits.NO_ROOM, Waits.MAKING_SURE} and found.at - one.at <= FRESH_MS
            for one in said
        )
        yield Signs(
            component=name,
            announced=said,
            reads=tuple(
                _reads(g, most_in_flight, full=full) for g in groups if (g.stream, g.group) in places
            ),
            lacks=tuple(f"group {place[1]} of {place[0]}" for place in places if place not in there)
            if found.groups is not None
            else (),
            writes=tuple(_writes(t, streams, groups) for t in traces if t.ours and t.name == name),
            works=_works(found, name),
        )
    yield from _foreign(found, streams, {place for places in own.values() for place in places})


def _foreign(found: Gathered, streams: StreamSettings, own: set[tuple[str, str]]) -> Iterator[Signs]:
    """What nobody announced and whose traces are there: older services."""
    groups, traces = found.groups or (), [trace for trace in found.traces or () if not trace.ours]
    others = [group for group in groups if (group.stream, group.group) not in own]
    for name in sorted({trace.name for trace in traces} | {group.group for group in others}):
        yield Signs(
            component=name,
            foreign=True,
            reads=tuple(_reads(group, 0, full=False) for group in others if group.group == name),
            writes=tuple(_writes(trace, streams, groups) for trace in traces if trace.name == name),
        )


def _reads(group: Group, most_in_flight: int, *, full: bool) -> Reads:
    oldest = group.oldest_waiting
    return Reads(
        stream=group.stream,
        group=group.group,
        readable=group.readable,
        waits=group.waits,
        waits_since=None if oldest is None else id_key(oldest)[0],
        lost=group.lost,
        pending=group.pending,
        full=full or 0 < most_in_flight <= group.pending,
        delivered_at=group.delivered_at,
        asked_at=group.asked_at,
        consumers=group.consumers,
    )


def _writes(trace: Trace, streams: StreamSettings, groups: tuple[Group, ...]) -> Writes:
    live = any(group.stream == trace.stream and group.lively for group in groups)
    return Writes(
        stream=trace.stream,
        entries=trace.entries,
        newest_at=trace.newest_at,
        decisions=trace.decisions,
        wanted=trace.stream in map(streams.full, _PIPELINE),
        read_live=live,
    )


def _works(found: Gathered, name: str) -> Works | None:
    """What the journal's newest records say was sent and ended by processes of this component."""
    if found.works is None or scope_of(name) != EXIT:
        return None
    return found.works.get(name, Works(orders=0, ordered_at=None, outcomes=0, ended_at=None))


# What is said of each ------------------------------------------------------------------------------------------------


def _row(found: Gathered, signs: Signs, ruling: Ruling, ghost_ms: int) -> Row:
    judged = judge(signs, ruling, found.at, ghost_ms=ghost_ms)
    missing = (f"{name} could not be read: {why}" for name, why in _needed(found).items())
    return Row(
        component=signs.component,
        level=judged.level,
        foreign=signs.foreign,
        scope="none" if signs.foreign else scope_of(component_of(signs.component)),
        reasons=(*judged.reasons, *missing),
        alive_at=judged.alive_at,
        evidence=tuple(_lines(found, signs, ruling)),
    )


def _needed(found: Gathered) -> dict[str, str]:
    """What a level rests on and that is not known: such a level is what is proven, and may be more."""
    unread = found.unread()
    return {name: unread[name] for name in ("registry", "groups", "producers", "lease") if name in unread}


def _lines(found: Gathered, signs: Signs, ruling: Ruling) -> Iterator[Line]:
    for one in signs.announced:
        ended = "" if one.stopped_at is None else ", stopped in order"
        gone = "" if one.stopped_at is not None or found.at - one.at <= FRESH_MS else ", silent since"
        yield Line(what=f"announced by {one.host}:{one.pid}, version {one.version}{ended}{gone}", at=one.at)
        if one.facts.broken:
            yield Line(what=f"says that closes are stuck: {' '.join(one.facts.broken)}", at=one.at)
    if ruling.granted == signs.component and found.standing is not None and not signs.foreign:
        grant = found.standing.grant
        yield Line(
            what=f"grant {grant.get('kind', '')}, revision {grant.get('revision', '')}", at=_time(grant)
        )
    holder = ruling.holder
    if holder is not None and holder.component == signs.component and not signs.foreign:
        yield Line(what=f"holds the lease as {holder.owner}, epoch {holder.epoch}", at=found.at)
    for reads in signs.reads:
        unread, lost = ("unknown" if n is None else n for n in (reads.readable, reads.lost))
        yield Line(
            what=f"group {reads.group} of {reads.stream}: unread {unread}, trimmed unread {lost}, "
            f"pending {reads.pending}, {reads.consumers} consumers; asked",
            at=reads.asked_at,
        )
        yield Line(what=f"last delivery to {reads.group}", at=reads.delivered_at)
    for writes in signs.writes:
        decided = ", ".join(f"{count} {what}" for what, count in sorted(writes.decisions.items()))
        more = f" ({decided})" if decided else ""
        yield Line(what=f"wrote {writes.entries} of the newest of {writes.stream}{more}", at=writes.newest_at)
    if signs.works is not None:
        yield Line(what=f"{signs.works.orders} orders in the newest records", at=signs.works.ordered_at)
        yield Line(what=f"{signs.works.outcomes} outcomes in the newest records", at=signs.works.ended_at)


def _time(record: dict[str, str]) -> int | None:
    at = record.get("at", "")
    return int(at) if at.isdecimal() else None
