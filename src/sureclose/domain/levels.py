"""What a component is for the scope "exit": computed from what it does and from what the log holds, never from its name.

A level is what is proven. What is not known proves nothing, so taking evidence away never raises a level.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from sureclose.domain.authority import Level
from sureclose.domain.components import EXIT, Presence, scope_of
from sureclose.domain.times import iso_ms

GONE_MS: Final = 60_000
"""A component of ours without any sign of life for so long is dead: it announces itself every 5 s."""
FOREIGN_GONE_MS: Final = 600_000
"""The same of one that announces nothing: its only signs are entries and reads, and it may have nothing to say."""
LIVELY_MS: Final = 10_000
"""A reader asks at least every second; one that did not for so long does not read."""


class Reads(msgspec.Struct, frozen=True, kw_only=True):
    """One group on one of our streams. Times are the log's milliseconds; None is not known, or never."""

    stream: str
    group: str
    readable: int | None
    waits: bool | None
    """Whether anything is there that it was not given yet; that can be known where the number can't."""
    waits_since: int | None
    """When the oldest of that was written, by its id."""
    lost: int | None
    pending: int
    full: bool
    """Whether it has as many unfinished as it may: then it rightly takes no more."""
    delivered_at: int | None
    asked_at: int | None
    """When one of its consumers last asked."""
    consumers: int


class Writes(msgspec.Struct, frozen=True, kw_only=True):
    """What it wrote to one stream, among the newest entries there."""

    stream: str
    entries: int
    newest_at: int
    decisions: dict[str, int] = {}
    """How many of them decide what."""
    wanted: bool = True
    """Whether entries there mean anything only when somebody reads them."""
    read_live: bool | None = None
    """Whether a group of that stream has a live reader."""


class Works(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest records of the journal say of its executing."""

    orders: int
    ordered_at: int | None
    outcomes: int
    ended_at: int | None


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one component."""

    component: str
    foreign: bool = False
    """Whether it is none of ours: known by its traces alone."""
    announced: tuple[Presence, ...] = ()
    reads: tuple[Reads, ...] = ()
    lacks: tuple[str, ...] = ()
    """Groups that it has to read and that are not there."""
    writes: tuple[Writes, ...] = ()
    works: Works | None = None


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lease now; ``component`` is empty where nothing says whose process it is."""

    owner: str
    epoch: int
    component: str


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """Grant, freeze and lease as one look found them. ``frozen`` is None when that is not known."""

    granted: str | None = None
    frozen: bool | None = None
    triggers: tuple[str, ...] = ()
    holder: Holder | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A level, why it is no higher, and when the component last showed a sign of life."""

    level: Level
    reasons: tuple[str, ...]
    alive_at: int | None


def judge(signs: Signs, ruling: Ruling, now: int, *, ghost_ms: int) -> Judgement:
    """The level of one component; ``now`` is the log's clock, ``ghost_ms`` how long entries may wait for a controller."""
    alive_at = _alive_at(signs, ruling, now)
    reasons = [*_against(signs, ruling, now, ghost_ms)]
    if not reasons:
        return Judgement(level=Level.CONTROLLER, reasons=(), alive_at=alive_at)
    limit = FOREIGN_GONE_MS if signs.foreign else GONE_MS
    unheard = [*_unheard(signs)]
    if alive_at is None or now - alive_at > limit:
        last = "none is known" if alive_at is None else f"the last was {iso_ms(alive_at)}"
        why = f"no sign of life for {limit // 1000} s: {last}"
        return Judgement(level=Level.DEAD, reasons=(why, *reasons, *unheard), alive_at=alive_at)
    return Judgement(level=Level.OBSERVER, reasons=(*reasons, *unheard), alive_at=alive_at)


def _alive_at(signs: Signs, ruling: Ruling, now: int) -> int | None:
    times = [one.at for one in signs.announced if one.stopped_at is None]
    times += [one.asked_at for one in signs.reads if one.asked_at is not None]
    times += [one.newest_at for one in signs.writes]
    if ruling.holder is not None and _owns(signs, ruling.holder):
        times.append(now)
    return max(times, default=None)


def _owns(signs: Signs, holder: Holder) -> bool:
    if holder.component:
        return holder.component == signs.component
    return any(one.is_owner(holder.owner) for one in signs.announced)


def _against(signs: Signs, ruling: Ruling, now: int, ghost_ms: int) -> Iterator[str]:
    """What speaks against its being the controller; nothing, if it is. Of one without the grant no more is asked."""
    if signs.foreign or scope_of(signs.component) != EXIT:
        yield "it executes nothing of ours"
        return
    if ruling.granted != signs.component:
        yield f"the grant names {ruling.granted}" if ruling.granted else "nobody has the grant"
    if ruling.frozen is None:
        yield "whether the account is frozen is not known"
    elif ruling.frozen:
        yield f"frozen: {', '.join(ruling.triggers) or 'no trigger recorded'}"
    if ruling.granted != signs.component:
        return
    if ruling.holder is None:
        yield "nobody holds the lease"
    elif not _owns(signs, ruling.holder):
        yield f"the lease is held by {ruling.holder.component or 'another'} ({ruling.holder.owner})"
    if not signs.reads:
        yield "whether its group is read is not known"
    yield from (f"there is no {group}" for group in signs.lacks)
    for reads in signs.reads:
        yield from _unread(reads, now, ghost_ms)


def _unread(reads: Reads, now: int, ghost_ms: int) -> Iterator[str]:
    where = f"group {reads.group} of {reads.stream}"
    if reads.waits is None:
        yield f"whether entries wait for {where} is not known"
    elif reads.waits and not reads.full:
        if reads.asked_at is None or now - reads.asked_at > LIVELY_MS:
            yield f"entries wait, and nobody reads {where}"
        elif reads.waits_since is None or now - reads.waits_since > ghost_ms:
            yield f"entries wait for longer than {ghost_ms // 1000} s in {where}"


def _unheard(signs: Signs) -> Iterator[str]:
    """Who writes what nobody reads controls nothing, whatever it is called (incident 91)."""
    for writes in signs.writes:
        if not writes.wanted:
            continue
        if writes.read_live is False:
            yield f"nobody reads what it writes to {writes.stream}"
        elif writes.read_live is None:
            yield f"whether anybody reads what it writes to {writes.stream} is not known"
