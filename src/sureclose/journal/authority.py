"""Grant, freeze and warrants as the log holds them; the gate reads the same keys."""

import msgspec

from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import scripts
from sureclose.journal.keys import Keys
from sureclose.journal.mirror import Authority
from sureclose.streams.wire import Wire

_freeze = scripts.load("freeze")
_bootstrap = scripts.load("bootstrap")
_warrant = scripts.load("warrant")


class Standing(msgspec.Struct, frozen=True):
    """Who may execute machine closes now, and whether anybody may."""

    component: str | None
    grant: dict[str, str]
    freeze: dict[str, str]

    @property
    def frozen(self) -> bool:
        return bool(self.freeze)


async def standing(wire: Wire, keys: Keys) -> Standing:
    """The grant and the freeze as recorded."""
    grant = _texts(await wire.execute_command(b"HGETALL", keys.grant))
    freeze = _texts(await wire.execute_command(b"HGETALL", keys.freeze))
    return Standing(grant.get("component"), grant, freeze)


def recorded(found: Standing) -> Authority:
    """Grant and freeze as a mirror keeps them. What carries no revision is as old as can be."""
    revisions = (int(record.get("revision", "0")) for record in (found.grant, found.freeze))
    return Authority(max(revisions), found.grant, found.freeze)


async def freeze(
    wire: Wire, keys: Keys, events: str, *, record: dict[str, str], event: dict[str, str]
) -> bool:
    """Freeze the account; whether it was not frozen before. A freeze that stands keeps its reason."""
    record_parts = [part for pair in record.items() for part in pair]
    event_parts = [part for pair in event.items() for part in pair]
    reply = await _freeze.call(wire, [keys.freeze, events], [len(record_parts), *record_parts, *event_parts])
    return reply == 1


async def bootstrap(
    wire: Wire, keys: Keys, events: str, *, grant: bool, record: dict[str, str], event: dict[str, str]
) -> str:
    """The first authority record of an account: a BOOTSTRAP grant, or a freeze. What is there already stays.

    Returns ``GRANT`` or ``FREEZE`` when it was written now, ``FREEZE`` or the holding component when not.
    """
    wanted = "GRANT" if grant else "FREEZE"
    record_parts = [part for pair in record.items() for part in pair]
    event_parts = [part for pair in event.items() for part in pair]
    reach(FaultPoint.BEFORE_BOOTSTRAP)
    reply = await _bootstrap.call(
        wire,
        [keys.grant, keys.freeze, events],
        [wanted, len(record_parts), *record_parts, *event_parts],
    )
    reach(FaultPoint.AFTER_BOOTSTRAP)
    assert isinstance(reply, bytes)
    return reply.decode()


async def issue_warrant(
    wire: Wire,
    keys: Keys,
    *,
    intent_id: str,
    plan_id: str,
    ttl_ms: int,
    events: str,
    event: dict[str, str],
    intents: str,
    intent: dict[str, str],
) -> str | None:
    """Record a person's right to one close and publish the intent with it, together.

    Returns the intent's entry id, or ``None`` when a warrant for this intent exists already.
    """
    event_parts = [part for pair in event.items() for part in pair]
    intent_parts = [part for pair in intent.items() for part in pair]
    reply = await _warrant.call(
        wire,
        [keys.warrant(intent_id), events, intents],
        [plan_id, ttl_ms, len(event_parts), *event_parts, *intent_parts],
    )
    assert isinstance(reply, bytes)
    return reply.decode() or None


def _texts(reply: object) -> dict[str, str]:
    """HGETALL's reply in either protocol as text."""
    pairs = reply.items() if isinstance(reply, dict) else zip(*[iter(_flat(reply))] * 2, strict=True)
    return {name.decode(): value.decode() for name, value in pairs}


def _flat(reply: object) -> list[bytes]:
    assert isinstance(reply, list)
    return reply
