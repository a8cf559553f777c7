"""The wishes that nothing came of: refused at a door, by a stage, by the codec, by a verdict, or by the engine."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final

import msgspec

from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.times import iso_ms
from sureclose.journal.refusals import refusals
from sureclose.operate.remedies import REMEDIES
from sureclose.operate.session import Session
from sureclose.operate.trace_search import named, newest
from sureclose.operate.trace_story import Trace
from sureclose.streams.deadletter import original_of
from sureclose.streams.names import StreamName
from sureclose.streams.wire import id_key

_EXECUTOR: Final = "execution"
_ENDED: Final = frozenset(map(str, (OutcomeKind.SKIPPED, OutcomeKind.REFUSED)))


class RefusedWish(msgspec.Struct, frozen=True, kw_only=True):
    """One wish and why nothing came of it. ``at`` is milliseconds; ``entry`` is a dead letter's original, untouched."""

    where: str
    reason: str
    at: int
    threshold: str = ""
    seen: str = ""
    remedy: str = ""
    intent_id: str = ""
    plan_id: str = ""
    symbol: str = ""
    actor: str = ""
    stream: str = ""
    entry_id: str = ""
    entry: list[Any] = []

    def as_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain | {"at": iso_ms(self.at)}


async def refused(session: Session, wanted: str, traces: Iterable[Trace]) -> tuple[RefusedWish, ...]:
    """Every refusal of a plan, an intent or an entry, oldest first; ``traces`` are the plans that it is known by."""
    told = tuple(traces)
    names = {wanted, *(trace.plan_id for trace in told)}
    found: dict[tuple[str, str, str, str], RefusedWish] = {}
    for name in sorted(names):
        async for refusal in refusals(session.wire, session.keys, name):
            # Both paths read each approval, so both may have told of one.
            key = (
                refusal.stream,
                refusal.entry_id,
                refusal.reason,
                "" if refusal.entry_id else str(refusal.at),
            )
            found.setdefault(key, RefusedWish(**msgspec.structs.asdict(refusal)))
    letters = [letter async for letter in _letters(session, wanted)]
    verdicts = [verdict for trace in told for verdict in _verdicts(trace)]
    return tuple(sorted((*found.values(), *letters, *verdicts), key=lambda wish: wish.at))


async def _letters(session: Session, wanted: str) -> AsyncIterator[RefusedWish]:
    """Dead letters of an entry of that id, or of one that calls itself so."""
    stream = session.streams.full(StreamName.DEAD_LETTER)
    async for letter_id, fields in newest(session, stream, wanted.encode(errors="replace")):
        said = {
            name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()
        }
        try:
            names = named(dict(original_of(said.get("entry", ""))))
            entry = msgspec.json.decode(said.get("entry", ""))
        except (ValueError, msgspec.DecodeError):
            continue  # an older program's letter, which can't be asked for its names
        if wanted in {said.get("id"), names.intent_id, names.plan_id}:
            yield RefusedWish(
                where=str(StreamName.DEAD_LETTER),
                reason=said.get("reason", ""),
                remedy=said.get("remedy", ""),
                at=id_key(letter_id)[0],
                intent_id=names.intent_id,
                plan_id=names.plan_id,
                stream=said.get("stream", ""),
                entry_id=said.get("id", ""),
                entry=entry,
            )


def _verdicts(trace: Trace) -> Iterator[RefusedWish]:
    """What the apply layer and the engine said of a plan, but for what was executed."""
    for moment in trace.moments:
        said = moment.facts
        if moment.step == StreamName.APPLY_RESULT and said.get("veto") and "outcome" not in said:
            veto = _veto(said["veto"])
            where = "apply.result"
        elif moment.step == "ENDED" and said["outcome"]["kind"] in _ENDED:
            outcome = said["outcome"]
            code = f"{outcome['code']} " if outcome.get("code") is not None else ""
            veto = outcome.get("veto") or {"rule": f"{code}{outcome['reason']}"}
            where = _EXECUTOR
        else:
            continue
        rule = veto.get("rule", "")
        yield RefusedWish(
            where=where,
            reason=rule,
            threshold=veto.get("threshold", ""),
            seen=veto.get("seen", ""),
            remedy=REMEDIES.get(rule, ""),
            at=moment.at,
            intent_id=trace.intent_id,
            plan_id=trace.plan_id,
            symbol=said.get("symbol", ""),
        )


def _veto(text: str) -> dict[str, str]:
    """As it is written here; a word of an older producer is the rule."""
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {"rule": text}
