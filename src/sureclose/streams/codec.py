"""The one codec: what an entry of the pipeline's streams asks for. Classifies first and parses second.

``decode`` is total. An entry is a close, is understood to be none, or is unreadable; there is no fourth.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

from sureclose.domain import actions, ids
from sureclose.domain.actions import Amount, AmountError, NotClosing, Trades, Unknown, classify_action
from sureclose.domain.events import Decision, EntryRef, Intent, Plan
from sureclose.domain.planning import planned_id
from sureclose.domain.times import CLOCK_TOLERANCE_MS, LONGEST_EXPIRY_MS, latest_meant
from sureclose.domain.words import AgeSource, Mode, PositionSide, Verdict
from sureclose.streams.elsewhere import Bar, barred
from sureclose.streams.encode import HANDOVER, SCHEMA
from sureclose.streams.fields import (
    ENTRY_ID,
    DoubtError,
    Fields,
    RawFields,
    Unreadable,
    flag_of,
    read_fields,
    recordable,
    shown,
)
from sureclose.streams.names import StreamName


class NotACloseReason(StrEnum):
    """Why an entry that is understood asks for no close: counted, acknowledged, done."""

    HOLD = "hold"
    STOP_LOSS_UPDATE = "stop_loss_update"
    ENTRY = "entry"
    SKIP = "skip"
    BLOCKED = "blocked"
    ERROR_VERDICT = "error_verdict"
    NO_DECISION = "no_decision"
    NOT_APPROVED = "not_approved"
    ALREADY_EXECUTED = "already_executed"
    CONFIRMATION = "confirmation"
    DRY_RUN = "dry_run"
    OTHER_MODE = "other_mode"
    EXECUTE_IS_NOT_APPROVAL = "execute_is_not_approval"
    OTHER_STREAM = "other_stream"
    HANDOVER = "handover"
    """An approved decision on its way to the execution service: no wish, where wishes are read."""
    NO_HANDOVER = "no_handover"
    """Whatever else stands on ``trade.intent``: nobody's approval, where approvals are read."""


class Barred(msgspec.Struct, frozen=True):
    """A wish or an approval that is executable for nobody here, by the names it has; empty where it has none."""

    bar: Bar
    intent_id: str
    plan_id: str
    symbol: str


class NotAClose(msgspec.Struct, frozen=True):
    """Understood, and nothing to do. ``barred`` is what would have been to do elsewhere, or in earnest."""

    reason: NotACloseReason
    barred: Barred | None = None


class CodecRules(msgspec.Struct, frozen=True):
    """What depends on the reader: its environment, and whether the older word EXECUTE approves a close."""

    mode: Mode
    execute_is_approval: bool = False


Decoded: TypeAlias = Intent | Plan | Decision | NotAClose | Unreadable

_LONGEST_ID: Final = 200

_INTENTS: Final = frozenset({StreamName.HARVEST_INTENT, StreamName.TRADE_INTENT})
_STREAM_WORDS: Final = frozenset(str(name) for name in StreamName)
_NOT_A_CLOSE: Final = {
    "SKIP": NotACloseReason.SKIP,
    "BLOCKED": NotACloseReason.BLOCKED,
    "ERROR": NotACloseReason.ERROR_VERDICT,
    "HOLD": NotACloseReason.HOLD,
}
_AGE_SOURCES: Final = frozenset(map(str, AgeSource))
_POSITION_SIDES: Final = frozenset(map(str, PositionSide))
_SCORES: Final = frozenset({"R_net", "kill_score"})

_LOST = Unreadable(
    "the entry is empty: its payload was lost, in practice trimmed while it was pending",
    "trim the stream only below the smallest pending id of its groups",
)


def decode(
    stream: StreamName, ref: EntryRef, fields: RawFields, *, now_ms: int, rules: CodecRules
) -> Decoded:
    """What the entry asks for, as far as the entry itself can say; never raises, whatever is in it."""
    if stream not in _READERS:
        return NotAClose(NotACloseReason.OTHER_STREAM)
    try:
        entry = read_fields(fields)
        if entry.empty:
            return _LOST
        if stream in _INTENTS and entry.text(HANDOVER):
            return NotAClose(NotACloseReason.HANDOVER)
        decision = actions.canonical(entry.text("decision"))
        word = _action_word(stream, entry)
        why_not = _why_not(stream, entry, decision, word, rules)
        if isinstance(why_not, Bar):
            reason = NotACloseReason(why_not.rule)
            wished = _wished(entry, decision, rules) if stream is StreamName.APPLY_RESULT else True
            named = (stream, ref, entry, word, now_ms)
            return NotAClose(reason, _barred(why_not, *named) if wished else None)
        if why_not is not None:
            return NotAClose(why_not)
        return _read(stream, ref, entry, word, now_ms)
    except DoubtError as doubt:
        return doubt.unreadable


def _read(
    stream: StreamName, ref: EntryRef, entry: Fields, word: str, now_ms: int
) -> Intent | Plan | Decision:
    _check_layout(stream, entry)
    return _READERS[stream](_common(stream, ref, entry, word, now_ms), entry)


def _wished(entry: Fields, decision: str, rules: CodecRules) -> bool:
    """Whether it would be an approval otherwise; where that is in doubt it is none."""
    try:
        return _not_approved(entry, decision, rules) is None
    except DoubtError:
        return False


def _barred(bar: Bar, stream: StreamName, ref: EntryRef, entry: Fields, word: str, now_ms: int) -> Barred:
    """The names under which somebody may ask for it. The plan of a wish follows from its content."""
    intent_id, plan_id, symbol = (
        entry.recorded(name)[:_LONGEST_ID] for name in ("intent_id", "plan_id", "symbol")
    )
    if stream in _INTENTS:
        try:
            wish = _read(stream, ref, entry, word, now_ms)
        except DoubtError:
            plan_id = ""
        else:
            plan_id = planned_id(wish)
    return Barred(bar, intent_id or ids.intent_id_for_entry(ref.stream, ref.entry_id), plan_id, symbol)


def decode_handover(ref: EntryRef, fields: RawFields, *, now_ms: int, rules: CodecRules) -> Decoded:
    """What an entry of ``trade.intent`` asks for where approvals are read there: the decision that was handed over.

    It is the one that ``apply.result`` held, by the same rules. Nothing else on that stream approves anything.
    """
    try:
        entry = read_fields(fields)
        if entry.empty:
            return _LOST
        if flag_of(entry.text(HANDOVER)) is not True or not entry.text("schema").startswith("sureclose/"):
            return NotAClose(NotACloseReason.NO_HANDOVER)
    except DoubtError as doubt:
        return doubt.unreadable
    return decode(StreamName.APPLY_RESULT, ref, fields, now_ms=now_ms, rules=rules)


def _why_not(
    stream: StreamName, entry: Fields, decision: str, word: str, rules: CodecRules
) -> NotACloseReason | Bar | None:
    """Why the entry is no close, None when it asks for one. Reads nothing that this question doesn't need."""
    executed = [flag_of(text) for text in entry.every("executed")]
    if True in executed:
        results = ("outcome", "order_id", "order_ids", "filled_qty")
        return NotACloseReason.CONFIRMATION if entry.nearest(*results) else NotACloseReason.ALREADY_EXECUTED
    if decision in _NOT_A_CLOSE:
        return _NOT_A_CLOSE[decision]
    is_result = stream is StreamName.APPLY_RESULT
    if is_result and not decision:
        return NotACloseReason.NO_DECISION
    if decision not in {"", "CLOSE", "EXECUTE"} and stream not in _INTENTS:
        raise DoubtError(
            f"decision is {shown(decision)}, which is no word of ours", "decide CLOSE, SKIP, BLOCKED or ERROR"
        )
    if not is_result or decision == "EXECUTE":
        action = classify_action(word)
        if isinstance(action, NotClosing):
            return NotACloseReason(action.why.value)
        if isinstance(action, Trades) and not _reduces(entry):
            return NotACloseReason.ENTRY
    if None in executed:
        raise DoubtError("executed is neither true nor false", "write executed as True or False")
    return barred(entry, rules.mode) or (_not_approved(entry, decision, rules) if is_result else None)


def _not_approved(entry: Fields, decision: str, rules: CodecRules) -> NotACloseReason | None:
    """Approval is its own field; absent beside CLOSE it is given, and one layer that denies it is enough."""
    approved = [flag_of(text) for text in entry.every("approved")]
    if False in approved:
        return NotACloseReason.NOT_APPROVED
    if decision == "EXECUTE" and not rules.execute_is_approval:
        return NotACloseReason.EXECUTE_IS_NOT_APPROVAL
    if None in approved:
        raise DoubtError("approved is neither true nor false", "write approved as True or False")
    return None


def _reducing(entry: Fields) -> set[bool | None]:
    """What is said of reducing, in either spelling and in any layer."""
    return {flag_of(text) for text in entry.every("reduceOnly", "reduce_only") if text}


def _reduces(entry: Fields) -> bool:
    """Whether a BUY or SELL says that it reduces; it never does by default."""
    said = _reducing(entry)
    if len(said) > 1 or None in said:
        raise DoubtError(
            "reduceOnly and reduce_only don't say one thing", "write reduce_only once, as True or False"
        )
    return True in said


def _action_word(stream: StreamName, entry: Fields) -> str:
    """On ``trade.intent`` some say the action as ``side``; elsewhere a side is no action."""
    word = actions.canonical(entry.text("action"))
    if not word and stream is StreamName.TRADE_INTENT:
        side = actions.canonical(entry.text("side"))
        return side if isinstance(classify_action(side), Trades) else ""
    return word


def _check_layout(stream: StreamName, entry: Fields) -> None:
    """A newer layout of ours, or an event that was meant for another stream, is not read as if it were this."""
    schema = entry.text("schema")
    if schema.startswith("sureclose/") and schema != SCHEMA:
        raise DoubtError(f"schema is {shown(schema)}, this reader knows {SCHEMA}", "upgrade the reader")
    for event_type in entry.every("event_type"):
        named = event_type.strip().lower().rpartition(":")[2].replace("_", ".")
        if named in _STREAM_WORDS and named != stream and not {named, stream} <= _INTENTS:
            raise DoubtError(
                f"event_type is {shown(event_type)}, but the entry stands on {stream}",
                "publish each event on the stream of its type",
            )


def _common(stream: StreamName, ref: EntryRef, entry: Fields, word: str, now_ms: int) -> dict[str, Any]:
    """The fields of a wish."""
    amount = _amount(stream, entry, word)
    origin_at, age_source = _origin(ref, entry, now_ms)
    expires_at = entry.time("expires_at")
    if expires_at is not None and (
        expires_at > now_ms + LONGEST_EXPIRY_MS or _later_than_meant(ref, expires_at)
    ):
        raise DoubtError("expires_at is more than a day ahead", "let an approval expire within 24 hours")
    for name in ("entry_price", "exit_price", "price"):
        entry.positive(name)
    mode = entry.text("mode").strip().lower()
    return {
        "intent_id": entry.printable("intent_id", _LONGEST_ID)
        or ids.intent_id_for_entry(ref.stream, ref.entry_id),
        "symbol": entry.symbol(),
        "position_side": _position_side(entry, amount.action),
        "action": amount.action,
        "fraction": amount.fraction,
        "quantity": amount.quantity,
        "origin_at": origin_at,
        "age_source": age_source,
        "expires_at": expires_at,
        "position_amt": entry.number("position_amt"),
        "position_update_time": entry.venue_time("position_update_time"),
        "mode": Mode(mode) if mode else None,
        "reason": entry.recorded("reason"),
        "source": entry.recorded("source"),
        "scores": {
            recordable(name): entry.recorded(name)
            for name in entry.winning
            if name[:2] == "k_" or name in _SCORES
        },
        "cause": entry.refs("cause"),
    }


def _amount(stream: StreamName, entry: Fields, word: str) -> Amount:
    """How much; only an approved CLOSE may leave it unsaid, and then it means all."""
    is_result = stream is StreamName.APPLY_RESULT
    if isinstance(classify_action(word), Unknown) and (word or not is_result):
        raise DoubtError(
            f"action is {shown(word)}, which is not in the table of actions"
            if word
            else "there is no action",
            "write one of the actions that the design's table lists",
        )
    if isinstance(classify_action(word), Trades) and not _reduces(entry):
        raise DoubtError(
            f"{word} is approved as a close but doesn't say that it reduces", "write reduce_only=True"
        )
    if {True, False} <= _reducing(entry):
        raise DoubtError("reduceOnly and reduce_only disagree", "write reduce_only once, as True or False")
    closes_all = is_result and actions.canonical(entry.text("decision")) == "CLOSE"
    try:
        amount = actions.amount_of(
            word, entry.fractions(), entry.quantity(), actions.ALL if closes_all else None
        )
    except AmountError as error:
        raise DoubtError(str(error), "say one amount, the same in action, fraction and steps") from error
    entry.check_percents(amount.fraction)
    return amount


def _origin(ref: EntryRef, entry: Fields, now_ms: int) -> tuple[int, AgeSource]:
    """When the wish was first made, and where that was read."""
    created_at = entry.time("created_at", "timestamp", "ts")
    first_made = entry.time("origin_at")
    origin_at = created_at if first_made is None else first_made
    said = entry.text("age_source") if first_made is not None else ""
    if said and said not in _AGE_SOURCES:
        raise DoubtError(f"age_source is {shown(said)}", "write age_source as field or entry_id")
    age_source = AgeSource(said) if said else AgeSource.FIELD
    if origin_at is None:
        written = ENTRY_ID.fullmatch(ref.entry_id)
        if written is None:
            raise DoubtError("there is no time in the fields and none in the entry's id", "write created_at")
        origin_at, age_source = int(written[1]), AgeSource.ENTRY_ID
    if max(origin_at, created_at or 0) > now_ms + CLOCK_TOLERANCE_MS:
        raise DoubtError(
            "the entry was made in the future, so its age can't be known",
            "set the producer's clock; times without a zone are UTC",
        )
    if _later_than_meant(ref, max(origin_at, created_at or 0)):
        raise DoubtError(
            "the entry was made more than a day after it was written, so its age can't be known",
            "set the clocks of producer and log; times without a zone are UTC",
        )
    return origin_at, age_source


def _later_than_meant(ref: EntryRef, at: int) -> bool:
    """Whether no entry that was written when this one was can mean that time, whenever it is read."""
    written = ENTRY_ID.fullmatch(ref.entry_id)
    latest = None if written is None else latest_meant(int(written[1]))
    return latest is not None and at > latest


def _position_side(entry: Fields, word: str) -> PositionSide:
    """BOTH unless said, or unless the action says it: a SELL can only reduce a long, a BUY a short.

    ``side`` is an order's side or no side at all, and never read here.
    """
    said = {actions.canonical(text) for _, text in entry.nearest("position_side", "positionSide")} or {"BOTH"}
    if len(said) > 1 or not said <= _POSITION_SIDES:
        raise DoubtError(
            f"position_side is {shown(' and '.join(sorted(said)))}",
            "write position_side as BOTH, LONG or SHORT",
        )
    side = PositionSide(said.pop())
    action = classify_action(word)
    if not isinstance(action, Trades):
        return side
    if side not in {PositionSide.BOTH, action.reduces}:
        raise DoubtError(
            f"a {word} can't reduce a {side} position", "write the position_side that the order reduces"
        )
    return action.reduces


def _plan_id(entry: Fields, wish: dict[str, Any]) -> str:
    parts = ("intent_id", "symbol", "position_side", "action", "fraction", "quantity")
    return entry.printable("plan_id", _LONGEST_ID) or ids.plan_id_for(*(wish[part] for part in parts))


def _intent(wish: dict[str, Any], _entry: Fields) -> Intent:
    return Intent(**wish)


def _plan(wish: dict[str, Any], entry: Fields) -> Plan:
    return Plan(**wish, plan_id=_plan_id(entry, wish), reason_codes=entry.codes("reason_codes"))


def _decision(wish: dict[str, Any], entry: Fields) -> Decision:
    """A reason code in ``error`` is recorded with the others: approval, outcome and error are three fields."""
    codes = entry.codes("reason_codes")
    error = entry.recorded("error").strip()
    return Decision(
        **wish,
        plan_id=_plan_id(entry, wish),
        verdict=Verdict.CLOSE,
        approved=True,
        reason_codes=(*codes, error) if error and error not in codes else codes,
        veto=entry.veto(),
    )


_READERS: Final[dict[StreamName, Callable[[dict[str, Any], Fields], Intent | Plan | Decision]]] = {
    StreamName.HARVEST_INTENT: _intent,
    StreamName.TRADE_INTENT: _intent,
    StreamName.APPLY_PLAN: _plan,
    StreamName.APPLY_RESULT: _decision,
}
