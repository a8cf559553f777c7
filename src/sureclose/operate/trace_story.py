"""The story of one plan, from the wish to the proof, with the times between, as the log and the journal have it."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from sureclose.domain import facts
from sureclose.domain.events import EntryRef
from sureclose.domain.times import iso_ms
from sureclose.journal.backlog import Altered, skipped
from sureclose.journal.record import Body, verify
from sureclose.operate.session import Session
from sureclose.streams.names import StreamName
from sureclose.streams.wire import id_key, texts

_SEARCHED = 20_000
"""How many of the newest entries of a stream are searched for a plan that never reached the journal."""
_PAGE = 1_000
_DOUBT_MS = 1_000
"""How far the estimate of the log's clock in a record may be ahead of the entry that was published after it."""
SKIPPED = "SKIPPED"
"""The step and the state of what a drain of a backlog ended."""
NOT_HERE = "not known here"
NOT_EXECUTED = "not executed"
UNKNOWN = {NOT_HERE, NOT_EXECUTED}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. ``at`` is milliseconds: the entry id's, or the record's own time."""

    step: str
    at: int
    where: str
    """The entry, or the hash of the record."""
    facts: dict[str, Any]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a plan, oldest first. ``state`` is OPEN, DONE, SKIPPED, or ``not executed``.

    ``absent`` names the segments of the journal that could not be looked into, where that leaves something open.
    """

    plan_id: str
    intent_id: str
    state: str
    moments: tuple[Moment, ...]
    absent: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Intervals never go back: a record's time is an estimate of the log's clock, an entry's is that clock."""
        first = self.moments[0].at if self.moments else 0
        previous = first
        steps = []
        for moment in self.moments:
            now = max(previous, moment.at)
            steps.append(
                {
                    "step": moment.step,
                    "at": iso_ms(moment.at),
                    "since_start_ms": now - first,
                    "since_last_ms": now - previous,
                    "where": moment.where,
                    **moment.facts,
                }
            )
            previous = now
        return {
            "plan_id": self.plan_id,
            "intent_id": self.intent_id,
            "state": self.state,
            "steps": steps,
            "absent": list(self.absent),
        }


async def drained(session: Session, wanted: str) -> AsyncIterator[Moment]:
    """What drains of a backlog recorded of it, and which of their records can't be believed."""
    async for found in skipped(session.wire, session.keys, wanted):
        if isinstance(found, Altered):
            yield Moment(step="DRAIN_RECORD_ALTERED", at=0, where="backlog", facts={"reason": found.why})
            continue
        yield Moment(
            step=SKIPPED,
            at=found.at,
            where=f"drain {found.by.drain}, record {found.record[:12]}",
            facts={
                "reason": found.reason,
                "by": found.by.actor,
                "group": found.by.group,
                "stream": found.by.stream,
                "entry_id": found.entry_id,
                "plan_id": found.plan_id,
                "symbol": found.symbol,
                "decision": found.decision,
                "host": found.by.host,
                "pid": found.by.pid,
                "drain": found.by.drain,
            },
        )


async def story(session: Session, plan_id: str) -> Trace | None:
    """The plan's story, or ``None`` when neither the journal nor the streams know it."""
    loaded = await session.journal.load(plan_id)
    shelved = await session.library.closes_of(plan_id)
    known: list[tuple[Body, str]] = []
    state = ""
    for stored in shelved.closes:
        _, bodies = verify(record for _, record in stored.records)
        known += zip(bodies, (record.hash for _, record in stored.records), strict=True)
        state = str(stored.state)
    if loaded is not None:
        known += zip(loaded.bodies, loaded.hashes, strict=True)
        state = loaded.state
    if not known:
        found = await _never_executed(session, plan_id)
        if loaded is None and found is None and not shelved.absent:
            return None
        found = found or Trace(plan_id=plan_id, intent_id="", state=NOT_HERE, moments=())
        return msgspec.structs.replace(found, state=state or found.state, absent=shelved.absent)
    moments: list[Moment] = []
    intent_id = ""
    seen: set[EntryRef] = set()
    for body, _ in known:
        if isinstance(body.fact, facts.Admitted):
            intent_id = body.fact.decision.intent_id
            for ref in (*body.fact.decision.cause, body.fact.entry):
                if ref not in seen:
                    seen.add(ref)
                    moments += await entry_moments(session, ref)
    journalled = (_moment(body, hash_) for body, hash_ in known)
    published = [moment async for moment in _published(session, plan_id, known[0][0].at)]
    whole = loaded is not None and loaded.burnt is None
    return Trace(
        plan_id=plan_id,
        intent_id=intent_id,
        state=state,
        moments=(*moments, *journalled, *published),
        absent=() if whole else shelved.absent,
    )


def _moment(body: Body, hash_: str) -> Moment:
    plain = msgspec.to_builtins(body.fact)
    kind = plain.pop("fact")
    return Moment(step=kind, at=body.at, where=f"record {hash_[:12]}", facts={"by": body.worker, **plain})


async def entry_moments(session: Session, ref: EntryRef) -> list[Moment]:
    found = await session.wire.execute_command(b"XRANGE", ref.stream, ref.entry_id, ref.entry_id)
    if not found:
        return [
            Moment(
                step=_short(session, ref.stream),
                at=id_key(ref.entry_id)[0],
                where=str(ref),
                facts={"trimmed": True},
            )
        ]
    return [_stream_moment(session, ref, texts(found[0][1]))]


def _stream_moment(session: Session, ref: EntryRef, fields: dict[str, str]) -> Moment:
    return Moment(step=_short(session, ref.stream), at=id_key(ref.entry_id)[0], where=str(ref), facts=fields)


def _short(session: Session, stream: str) -> str:
    return stream.removeprefix(session.streams.prefix)


async def _published(session: Session, plan_id: str, since: int) -> AsyncIterator[Moment]:
    """What was published of the plan after its close began: the confirmation and the result."""
    for name in (StreamName.APPLY_RESULT, StreamName.EXECUTION_RESULT):
        stream = session.streams.full(name)
        start = str(max(0, since - _DOUBT_MS))
        for _ in range(_SEARCHED // _PAGE):
            page = await session.wire.execute_command(b"XRANGE", stream, start, b"+", b"COUNT", _PAGE)
            for entry_id, flat in page:
                fields = texts(flat)
                if fields.get("plan_id") == plan_id and "outcome" in fields:
                    yield _stream_moment(session, EntryRef(stream, entry_id.decode()), fields)
            if len(page) < _PAGE:
                break
            start = "(" + page[-1][0].decode()


async def _never_executed(session: Session, plan_id: str) -> Trace | None:
    """What the streams say of a plan that no executor took in: waiting, vetoed, or not a close at all."""
    moments = []
    for name in (StreamName.APPLY_PLAN, StreamName.APPLY_RESULT, StreamName.EXECUTION_RESULT):
        stream = session.streams.full(name)
        end = "+"
        for _ in range(_SEARCHED // _PAGE):
            page = await session.wire.execute_command(b"XREVRANGE", stream, end, b"-", b"COUNT", _PAGE)
            for entry_id, flat in page:
                fields = texts(flat)
                if fields.get("plan_id") == plan_id:
                    moments.append(_stream_moment(session, EntryRef(stream, entry_id.decode()), fields))
            if len(page) < _PAGE:
                break
            end = "(" + page[-1][0].decode()
    if not moments:
        return None
    moments.sort(key=lambda moment: moment.at)
    intent_id = next((moment.facts["intent_id"] for moment in moments if moment.facts.get("intent_id")), "")
    causes = [ref for ref in moments[0].facts.get("cause", "").split() if "@" in ref]
    before = [moment for ref in causes for moment in await entry_moments(session, EntryRef.parse(ref))]
    return Trace(plan_id=plan_id, intent_id=intent_id, state=NOT_EXECUTED, moments=(*before, *moments))
