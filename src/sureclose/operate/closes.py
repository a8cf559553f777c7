"""One close as a door tells it: how far it is, from the journal, the streams and the refusals."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from sureclose.domain.close import Concluded, Done, New, State, fold
from sureclose.domain.close_state import CloseState, close_state, of_outcome
from sureclose.domain.events import Decision
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.report import report_of
from sureclose.domain.words import PositionSide
from sureclose.journal.asking import Record, asked
from sureclose.journal.chain import Loaded
from sureclose.journal.checking.stored import STATES
from sureclose.journal.claims import sent_as
from sureclose.journal.refusals import refusals
from sureclose.operate.remedies import REMEDIES
from sureclose.operate.session import Session
from sureclose.streams.names import StreamName
from sureclose.streams.wire import texts

_NOTHING_SENT: Final = frozenset({CloseState.SKIPPED, CloseState.REFUSED, CloseState.FLAT})
"""What a plan can come to without an order, where another one of the same intent had one."""
_PAGE: Final = 1_000
_PAGES: Final = 5
"""How much of a stream is searched, from when the wish was said, for a verdict on one that never became a close."""


class CloseView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a close. Times are the log's milliseconds, amounts are decimals as texts, in base units.

    ``final`` says that nothing follows by itself. What is not known is left out.
    """

    id: str
    """The intent's id, or the plan's where it was asked for by that."""
    plan_id: str
    state: CloseState
    final: bool
    symbol: str = ""
    position_side: str = ""
    fraction: str = ""
    quantity: str = ""
    outcome: str = ""
    reason: str = ""
    """Why it did not end as asked for; what stopped it."""
    threshold: str = ""
    seen: str = ""
    remedy: str = ""
    code: int | None = None
    executed: bool | None = None
    """Whether the venue's fills and position say so; of one that has its outcome."""
    filled_qty: str = ""
    avg_price: str = ""
    position_before: str = ""
    position_after: str = ""
    order_ids: tuple[int, ...] = ()
    client_order_ids: tuple[str, ...] = ()
    evidence: str = ""
    """The hash of the close's last record, once it has its outcome."""
    requested_at: int = 0
    expires_at: int = 0
    updated_at: int = 0
    warranted: bool = False
    """Whether it has a person's warrant."""


async def look(session: Session, wanted: str) -> CloseView | None:
    """The close of an intent, or of a plan; ``None`` when nobody knows it. Raises what the log raises."""
    record = await asked(session.wire, session.keys, wanted)
    if record is None:
        loaded = await session.journal.load(wanted)
        if loaded is not None:
            return _journalled(wanted, wanted, loaded, None)
        stream = session.streams.full(StreamName.APPLY_PLAN)
        record = await session.newest_plans.find(session.wire, stream, wanted)
        if record is None:
            return None
    loaded = await session.journal.load(record.plan_id)
    if loaded is not None and not _asked_anew(loaded, record):
        view = _journalled(wanted, record.plan_id, loaded, record)
        if view.executed or view.state not in _NOTHING_SENT or wanted == record.plan_id:
            return view
        return await _sent_instead(session, wanted, record) or view
    return await _unread(session, wanted, record)


async def _sent_instead(session: Session, wanted: str, record: Record) -> CloseView | None:
    """The one close of a wish that was said in several ways, where not the plan of this way was sent but that of another."""
    side = PositionSide(record.position_side)
    plan_id = await sent_as(session.wire, session.keys, wanted, record.symbol, side, session.clock.now())
    if plan_id is None or plan_id == record.plan_id:
        return None
    loaded = await session.journal.load(plan_id)
    return None if loaded is None else _journalled(wanted, plan_id, loaded, record)


async def look_at(session: Session, plan_id: str) -> CloseView | None:
    """The close of a plan by the name that it was asked for under, where it came through a door; else by the plan's own."""
    loaded = await session.journal.load(plan_id)
    if loaded is None:
        return None
    state = fold(loaded.facts)
    if isinstance(state, New):
        return _journalled(plan_id, plan_id, loaded, None)
    intent_id = state.progress.decision.intent_id
    record = await asked(session.wire, session.keys, intent_id)
    if record is None or record.plan_id != plan_id:
        return _journalled(plan_id, plan_id, loaded, None)
    return _journalled(intent_id, plan_id, loaded, record)


def _asked_anew(loaded: Loaded, record: Record) -> bool:
    """Whether a person asked for it after it was skipped: that burns nothing, so it begins once more."""
    skipped = loaded.state == STATES[OutcomeKind.SKIPPED]
    return skipped and record.warrant_at > loaded.bodies[-1].at


def _journalled(wanted: str, plan_id: str, loaded: Loaded, record: Record | None) -> CloseView:
    if loaded.burnt is not None:
        state = of_outcome(loaded.burnt.kind)
        view = CloseView(id=wanted, plan_id=plan_id, state=state, final=True, outcome=str(loaded.burnt.kind))
        return view if record is None else _asked(view, record)
    state_of = fold(loaded.facts)
    assert not isinstance(state_of, New)
    decision = state_of.progress.decision
    view = CloseView(
        id=wanted,
        plan_id=plan_id,
        state=close_state(state_of),
        final=close_state(state_of).final,
        updated_at=loaded.bodies[-1].at,
        **_wish(decision),
        **_result(state_of, loaded.hashes[-1]),
    )
    return view if record is None else _asked(view, record)


def _wish(decision: Decision) -> dict[str, Any]:
    return {
        "symbol": decision.symbol,
        "position_side": str(decision.position_side),
        "fraction": "" if decision.fraction is None else f"{decision.fraction:f}",
        "quantity": "" if decision.quantity is None else f"{decision.quantity:f}",
    }


def _result(state: State, last: str) -> dict[str, Any]:
    """What it came to; of one that goes on, what it has sent so far."""
    if not isinstance(state, Done | Concluded):
        attempts = () if isinstance(state, New) else state.progress.attempts
        return {"client_order_ids": tuple(attempt.client_order_id for attempt in attempts)}
    report = report_of(state, last)
    veto = report.outcome.veto
    amounts = {
        name: value
        for name in ("filled_qty", "avg_price", "position_before", "position_after")
        if (value := getattr(report, name)) is not None
    }
    return {name: f"{value:f}" for name, value in amounts.items()} | {
        "outcome": str(report.outcome.kind),
        "reason": report.outcome.reason,
        "remedy": REMEDIES.get(report.outcome.reason, ""),
        "code": report.outcome.code,
        "executed": report.executed,
        "order_ids": report.order_ids,
        "client_order_ids": report.client_order_ids,
        "evidence": report.evidence,
        "threshold": "" if veto is None else veto.threshold,
        "seen": "" if veto is None else veto.seen,
    }


def _asked(view: CloseView, record: Record) -> CloseView:
    return msgspec.structs.replace(
        view,
        symbol=record.symbol,
        position_side=record.position_side,
        fraction=record.fraction,
        quantity=record.quantity,
        requested_at=record.at,
        expires_at=record.expires_at,
        updated_at=max(view.updated_at, record.at),
        warranted=record.warrant_at > 0,
    )


def received(wanted: str, record: Record) -> CloseView:
    """A wish of which nothing is known but that it is in the log."""
    return _asked(
        CloseView(id=wanted, plan_id=record.plan_id, state=CloseState.RECEIVED, final=False), record
    )


async def _unread(session: Session, wanted: str, record: Record) -> CloseView:
    """A wish that no executor has taken in: on its way, or stopped on it."""
    view = received(wanted, record)
    since = max(record.at, record.warrant_at)
    async for fields in _since(session, StreamName.APPLY_RESULT, since, record.plan_id):
        if fields.get("plan_id") == record.plan_id and "outcome" not in fields:
            view = _decided(view, fields)
    async for refusal in refusals(session.wire, session.keys, record.plan_id, since):
        view = msgspec.structs.replace(
            view,
            state=CloseState.REFUSED,
            final=True,
            reason=refusal.reason,
            threshold=refusal.threshold,
            seen=refusal.seen,
            remedy=refusal.remedy,
        )
    intents = session.streams.full(session.streams.intents)
    async for fields in _since(session, StreamName.DEAD_LETTER, since, record.entry_id):
        if fields.get("id") == record.entry_id and fields.get("stream") == intents:
            view = msgspec.structs.replace(
                view,
                state=CloseState.REFUSED,
                final=True,
                reason=fields.get("reason", ""),
                remedy=fields.get("remedy", ""),
            )
    return view


def _decided(view: CloseView, fields: dict[str, str]) -> CloseView:
    if fields.get("approved") == "True":
        return msgspec.structs.replace(view, state=CloseState.APPROVED)
    veto = msgspec.json.decode(fields["veto"], type=dict[str, str]) if fields.get("veto") else {}
    return msgspec.structs.replace(
        view,
        state=CloseState.SKIPPED,
        final=True,
        outcome=fields.get("decision", ""),
        reason=veto.get("rule", fields.get("reason_codes", "")),
        threshold=veto.get("threshold", ""),
        seen=veto.get("seen", ""),
        remedy=REMEDIES.get(veto.get("rule", ""), ""),
    )


async def _since(
    session: Session, name: StreamName, since: int, wanted: str
) -> AsyncIterator[dict[str, str]]:
    """The entries that have the wanted text as a value; the others are not even decoded, for there may be thousands."""
    stream, start, value = session.streams.full(name), str(since), wanted.encode()
    for _ in range(_PAGES):
        page = await session.wire.execute_command(b"XRANGE", stream, start, b"+", b"COUNT", _PAGE)
        for _, flat in page:
            if value in flat:
                yield texts(flat)
        if len(page) < _PAGE:
            return
        start = "(" + page[-1][0].decode()
