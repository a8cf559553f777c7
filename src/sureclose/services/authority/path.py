"""What the log shows of the granted component: lease, group, open closes, and what its process said last.

Nothing here judges. A question that the log refuses is unknown; a log that does not answer raises, and nobody judges then.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from redis.exceptions import ResponseError

from sureclose.domain.authority import Authority, Component
from sureclose.domain.components import Facts, Found, Presence
from sureclose.domain.facts import Admitted
from sureclose.domain.grounds import Evidence
from sureclose.journal import lease
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.record import ChainBroken, Record
from sureclose.services.authority.registry import EVERY_S, announced
from sureclose.services.routes import readers
from sureclose.services.settings import HarvestBrainSettings, Path, StreamSettings
from sureclose.services.vitals import LeaseState, Waits
from sureclose.streams.groups import Backlog, GroupInfo, backlog, group_info, stream_info
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire, hash_texts, pairs

FRESH_MS: Final = 3 * round(EVERY_S * 1000)
"""How long a process's word about itself holds: three announcements."""
_CLAIM_MS: Final = round(1.5 * EVERY_S * 1000)
"""How long somebody's word that he holds the lease is a claim: less than two may claim it, so that one last word of a process
that was paused and then killed is none."""
_SETTLED_MS: Final = 2 * round(EVERY_S * 1000)
"""How long after the lease was taken somebody else's word that he holds it is an old one."""
_OLDEST: Final = 8
"""How many overdue closes are looked at for one that no person asked for."""
HUMAN: Final = "human:"
"""How the source of a person's close begins."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A group and what waits for it. ``waits`` can be known where the number of entries can't."""

    group: GroupInfo
    backlog: Backlog
    waits: bool
    oldest: str | None
    """Id of the oldest entry that waits."""


class Reign(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lease, as what component (empty: nothing says so), and since when by the log's clock."""

    lease: Lease
    component: str
    taken_at: int | None


def groups_of(
    streams: StreamSettings, harvest: HarvestBrainSettings, component: str
) -> tuple[tuple[str, str], ...]:
    """Streams and groups that a component has to read; none for one that is not known to read any."""
    path = Path.of(component)
    if path is not None:
        return tuple((streams.full(name), group) for name, group in readers(streams, harvest, path).items())
    if component == Component.INTENT_EXECUTOR:
        return ((streams.full(streams.intents), streams.intent_executor_group),)
    if component == Component.APPLY_LAYER:
        return ((streams.full(StreamName.APPLY_PLAN), streams.apply_layer_group),)
    return ()


async def waiting(wire: Wire, stream: str, group: str) -> Waiting | None:
    """What a group was not given yet; None if it is not there. The stream is asked first: nothing may look lost."""
    info, reader = await stream_info(wire, stream), await group_info(wire, stream, group)
    if info is None or reader is None:
        return None
    next_one = await wire.execute_command(
        b"XRANGE", stream, f"({reader.last_delivered_id}", b"+", b"COUNT", 1
    )
    oldest = next_one[0][0].decode() if next_one else None
    found = backlog(info, reader)
    return Waiting(group=reader, backlog=found, waits=oldest is not None, oldest=oldest)


async def reign(wire: Wire, keys: Keys) -> Reign | None:
    """The lease as it is held now."""
    held = await lease.holder(wire, keys)
    if held is None:
        return None
    newest = await wire.execute_command(b"XREVRANGE", keys.reigns, b"+", b"-", b"COUNT", 1)
    said = hash_texts(newest[0][1]) if newest else {}
    if said.get("owner") != held.owner or said.get("epoch") != str(held.epoch):
        return Reign(lease=held, component="", taken_at=None)
    at = said.get("at", "")
    return Reign(
        lease=held, component=said.get("component", ""), taken_at=int(at) if at.isdecimal() else None
    )


class PathReader:
    """Reads the evidence about whoever has the grant. ``path_broken_s`` is from when on an open close is overdue."""

    def __init__(
        self,
        wire: Wire,
        keys: Keys,
        streams: StreamSettings,
        harvest: HarvestBrainSettings,
        *,
        most_in_flight: int,
        path_broken_s: float,
    ) -> None:
        self._wire = wire
        self._keys = keys
        self._streams = streams
        self._harvest = harvest
        self._most_in_flight = most_in_flight
        self._overdue_ms = round(path_broken_s * 1000)

    async def evidence(self, standing: Authority, now: int, found: Sequence[Found] = ()) -> Evidence:
        """``standing`` has a grant; ``now`` is the log's clock, ``found`` what this process saw. Raises ``RedisError``."""
        component = standing.component
        assert component is not None
        unknown: list[str] = []
        holding = await reign(self._wire, self._keys)
        said = await announced(self._wire, self._keys)
        living = [one for one in said if one.stopped_at is None and now - one.at <= FRESH_MS]
        held = holding is not None and holding.component in {"", component}
        holder = None if holding is None else _holder(living, holding)
        facts = Facts() if holder is None else holder.facts
        if holder is None:
            unknown.append("the process that holds the lease says nothing of itself")
        elif facts.blind_ms is None or facts.blind_ms > 0:
            unknown.append("positions can't be read by the process that holds the lease")
        if facts.waits == Waits.MAKING_SURE:
            unknown.append("the log is being compared with the venue")
        groups = await self._groups(component, unknown)
        overdue, overdue_ms = await self._overdue(now) if held else ("", 0)
        return Evidence(
            component=component,
            judged_at=standing.judged_at,
            held=held,
            unread={name: one.group.last_delivered_id for name, one in groups.items() if one.waits},
            full=facts.waits in {Waits.NO_ROOM, Waits.MAKING_SURE}
            or sum(one.group.pending for one in groups.values()) >= self._most_in_flight,
            overdue=overdue,
            overdue_s=overdue_ms / 1000,
            finished=await self._finished() if overdue else "",
            held_back=_held_back(facts),
            unknown=tuple(unknown),
            broken=tuple(facts.broken) if held else (),
            found=(*found, *(one for each in living for one in each.facts.found)),
            rivals=tuple(_rivals(standing, holding, living, now)),
        )

    async def _groups(self, component: str, unknown: list[str]) -> dict[str, Waiting]:
        """Those that could be read; of the others it is noted why not."""
        found: dict[str, Waiting] = {}
        places = groups_of(self._streams, self._harvest, component)
        if not places:
            unknown.append(f"what {component} reads is not known")
        for stream, group in places:
            name = f"group {group} of {stream}"
            try:
                seen = await waiting(self._wire, stream, group)
            except ResponseError as error:
                unknown.append(f"{name} can't be read: {error}")
                continue
            if seen is None:
                unknown.append(f"there is no {name}")
            else:
                found[name] = seen
        return found

    async def _overdue(self, now: int) -> tuple[str, int]:
        """The oldest close that no person asked for and that is open for too long, and its age."""
        found = await self._wire.execute_command(
            b"ZRANGEBYSCORE",
            self._keys.open,
            b"-inf",
            now - self._overdue_ms,
            b"WITHSCORES",
            b"LIMIT",
            0,
            _OLDEST,
        )
        for plan, at in pairs(found).items():
            if not await self._is_human(plan.decode()):
                return plan.decode(), now - int(at)
        return "", 0

    async def _is_human(self, plan_id: str) -> bool:
        """By the decision that the journal has; what can't be read there counts as the machine's."""
        records = await self._wire.execute_command(b"HGET", self._keys.close(plan_id), "records")
        first = (records or b"").split(b" ", 1)[0]
        entries = (
            await self._wire.execute_command(b"XRANGE", self._keys.journal, first, first) if first else ()
        )
        if not entries:
            return False
        fields = hash_texts(entries[0][1])
        try:
            body = Record(fields["kind"], fields["body"].encode(), fields["hash"]).read()
        except (ChainBroken, KeyError, msgspec.DecodeError):
            return False
        return isinstance(body.fact, Admitted) and body.fact.decision.source.startswith(HUMAN)

    async def _finished(self) -> str:
        stream = self._streams.full(StreamName.EXECUTION_RESULT)
        newest = await self._wire.execute_command(b"XREVRANGE", stream, b"+", b"-", b"COUNT", 1)
        return newest[0][0].decode() if newest else "0-0"


def _holder(living: Sequence[Presence], holding: Reign) -> Presence | None:
    """What the process of the lease says of itself, as the component that it holds it as."""
    own = [one for one in living if one.is_owner(holding.lease.owner)]
    return next((one for one in own if one.component == holding.component), own[0] if own else None)


def _held_back(facts: Facts) -> str:
    if facts.held_back_ms:
        return f"the venue's limits or a ban hold orders back for {facts.held_back_ms / 1000:.0f} s more"
    if facts.blind_ms:
        return f"positions can't be read for {facts.blind_ms / 1000:.0f} s"
    return ""


def _rivals(standing: Authority, holding: Reign | None, living: Sequence[Presence], now: int) -> list[str]:
    """Who acts as the controller beside the one that may. While a switch is under way both are named in the grant."""
    if holding is None:
        return []
    rivals = []
    if holding.component not in {"", standing.component} and "next" not in standing.grant:
        rivals.append(f"{holding.component} ({holding.lease.owner}) holds the lease")
    settled = None if holding.taken_at is None else holding.taken_at + _SETTLED_MS
    rivals += [
        f"{one.name} says that it holds the lease"
        for one in living
        if one.facts.lease == LeaseState.HELD
        and now - one.at <= _CLAIM_MS
        and not one.is_owner(holding.lease.owner)
        and settled is not None
        and one.at > settled
    ]
    return rivals
