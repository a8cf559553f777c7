"""``trace``: what became of a plan, an intent or an entry, and of every wish among them that was refused."""

from typing import Any, Final

import msgspec

from sureclose.domain.events import EntryRef
from sureclose.operate.session import Session
from sureclose.operate.trace_refused import RefusedWish, refused
from sureclose.operate.trace_search import entries, plans_of
from sureclose.operate.trace_story import (
    NOT_HERE,
    SKIPPED,
    UNKNOWN,
    Trace,
    drained,
    entry_moments,
    story,
)
from sureclose.streams.fields import ENTRY_ID

RECEIVED: Final = "RECEIVED"
"""The state of an entry that is there, and of which no plan is known."""
REFUSED: Final = "REFUSED"
"""The state of what never became a plan, for it was refused before."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is known: the plan that matters most first, then the intent's others, and what was refused."""

    trace: Trace
    others: tuple[Trace, ...] = ()
    refused: tuple[RefusedWish, ...] = ()

    @property
    def traces(self) -> tuple[Trace, ...]:
        return self.trace, *self.others

    def as_json(self) -> dict[str, Any]:
        """The plan's own document, with the others and the refusals beside its steps."""
        return self.trace.as_json() | {
            "others": [other.as_json() for other in self.others],
            "refused": [wish.as_json() for wish in self.refused],
        }


async def trace(session: Session, wanted: str) -> Told | None:
    """The story of a plan, of every plan of an intent, or of an entry by its id; ``None`` when nobody knows it."""
    if ENTRY_ID.fullmatch(wanted) is None:
        traces = await _named(session, wanted)
    else:
        traces = await _of_entry(session, wanted)
    told = await refused(session, wanted, traces)
    if not traces:
        if not told:
            return None
        wish = told[0]
        nothing = Trace(plan_id=wish.plan_id, intent_id=wish.intent_id, state=REFUSED, moments=())
        return Told(trace=nothing, refused=told)
    if told:
        traces = [_refused(one) for one in traces]
    first, *others = sorted(traces, key=_weight)
    return Told(trace=first, others=tuple(others), refused=told)


def _refused(entry: Trace) -> Trace:
    return msgspec.structs.replace(entry, state=REFUSED) if entry.state == RECEIVED else entry


def _weight(told: Trace) -> tuple[bool, int]:
    """Of the plans of an intent the one that was sent comes first, then the oldest."""
    sent = any(moment.step == "SENDING" for moment in told.moments)
    return not sent, min((moment.at for moment in told.moments), default=0)


async def _named(session: Session, wanted: str) -> list[Trace]:
    """Of a plan; where none has that name, of the plans of the intent."""
    found = await _plan(session, wanted)
    if found is not None and found.state != NOT_HERE:
        return [found]
    plans = [await _plan(session, plan_id) for plan_id in await plans_of(session, wanted)]
    known = [plan for plan in plans if plan is not None]
    return known if known or found is None else [found]


async def _of_entry(session: Session, wanted: str) -> list[Trace]:
    """Of an entry that a drain ended, or of the plans that it is of; one that is of none is told as it stands."""
    ended = await _ended(session, wanted)
    if ended is not None:
        return [ended]
    plans: dict[str, None] = {}
    found = await entries(session, wanted)
    for _, names in found:
        plans |= dict.fromkeys([names.plan_id] if names.plan_id else await plans_of(session, names.intent_id))
    told = [await _plan(session, plan_id) for plan_id in plans]
    known = [plan for plan in told if plan is not None]
    if known or not found:
        return known
    ref, names = found[0]
    moments = await entry_moments(session, ref)
    return [Trace(plan_id=names.plan_id, intent_id=names.intent_id, state=RECEIVED, moments=tuple(moments))]


async def _plan(session: Session, plan_id: str) -> Trace | None:
    """What is known of a plan, with what drains of a backlog recorded of it."""
    told = await story(session, plan_id)
    if told is None:
        return await _ended(session, plan_id)
    recorded = [moment async for moment in drained(session, plan_id)]
    if not recorded:
        return told
    ended = any(moment.step == SKIPPED for moment in recorded)
    moments = sorted((*told.moments, *recorded), key=lambda moment: moment.at)
    state = SKIPPED if ended and told.state in UNKNOWN else told.state
    return msgspec.structs.replace(told, state=state, moments=tuple(moments))


async def _ended(session: Session, wanted: str) -> Trace | None:
    """What only a drain knows: a plan or an entry that it ended."""
    recorded = [moment async for moment in drained(session, wanted)]
    ended = [moment.facts for moment in recorded if moment.step == SKIPPED]
    if not ended:
        return None
    refs = {EntryRef(facts["stream"], facts["entry_id"]) for facts in ended}
    found = [moment for ref in sorted(refs) for moment in await entry_moments(session, ref)]
    return Trace(plan_id=ended[0]["plan_id"], intent_id="", state=SKIPPED, moments=(*found, *recorded))
