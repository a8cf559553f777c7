"""What we write: the one form of each entry of ours. ``decode`` of it gives the same value again."""

import json
from typing import Final

import msgspec

from sureclose.domain.actions import Trades, classify_action
from sureclose.domain.events import Decision, EntryRef, Intent, Plan, Wish
from sureclose.domain.ids import plain
from sureclose.domain.outcome import Outcome, Report
from sureclose.domain.times import iso_ms
from sureclose.domain.words import Mode, Verdict

SCHEMA: Final = "sureclose/1"
"""The layout written here. A reader that meets another number after the slash must not read on."""


HANDOVER: Final = "handover"
"""The field that says of an entry of ``trade.intent`` that it is an approved decision, handed over to be executed."""


class Producer(msgspec.Struct, frozen=True):
    """Who wrote an entry, so that nobody has to look for it in the network's packets."""

    name: str
    version: str
    host: str
    pid: int


def encode_intent(intent: Intent, producer: Producer, created_at_ms: int) -> dict[str, str]:
    """For ``harvest.intent``."""
    return _wish(intent, producer, created_at_ms)


def encode_plan(plan: Plan, producer: Producer, created_at_ms: int) -> dict[str, str]:
    """For ``apply.plan``."""
    return _wish(plan, producer, created_at_ms) | _said(
        plan_id=plan.plan_id, reason_codes=_codes(plan.reason_codes), steps=_steps(plan)
    )


def _steps(plan: Plan) -> str:
    """The one step of every plan: a market order that reduces, by how much as the plan says."""
    amount = _said(
        fraction="" if plan.fraction is None else plain(plan.fraction),
        quantity="" if plan.quantity is None else plain(plan.quantity),
    )
    return json.dumps([{"step": "REDUCE", "type": "market_reduce_only", "side": "close", **amount}])


def encode_decision(decision: Decision, producer: Producer, created_at_ms: int) -> dict[str, str]:
    """For ``apply.result``. ``executed`` is always written: without it an approval reads as a dry run."""
    veto = decision.veto
    return (
        _wish(decision, producer, created_at_ms)
        | _said(
            plan_id=decision.plan_id,
            reason_codes=_codes(decision.reason_codes),
            veto="" if veto is None else msgspec.json.encode(veto).decode(),
        )
        | {
            "decision": str(decision.verdict),
            "approved": str(decision.approved),
            "executed": "False",
            "would_execute": str(decision.approved and decision.verdict is Verdict.CLOSE),
        }
    )


def encode_handover(decision: Decision, producer: Producer, created_at_ms: int) -> dict[str, str]:
    """An approved decision for ``trade.intent``: all that it says, under the ids and the age that it has."""
    return encode_decision(decision, producer, created_at_ms) | {"reduce_only": "True", HANDOVER: "True"}


def encode_report(
    report: Report,
    producer: Producer,
    created_at_ms: int,
    mode: Mode,
    *,
    as_confirmation: bool,
    cause: tuple[EntryRef, ...] = (),
) -> dict[str, str]:
    """The confirmation for ``apply.result``, or the outcome for ``execution.result``.

    Raises ``ValueError`` for the confirmation of a close that was not executed. An outcome without execution carries
    no ``decision`` and no ``approved``: copied to another stream it must not read as an approval.
    """
    if as_confirmation and not report.executed:
        raise ValueError(f"{report.plan_id} was not executed, so there is nothing to confirm")
    outcome = report.outcome
    fields = stamp(producer, created_at_ms, mode) | {
        "intent_id": report.intent_id,
        "plan_id": report.plan_id,
        "symbol": report.symbol,
        "position_side": report.position_side,
        "executed": str(report.executed),
        "outcome": str(outcome.kind),
        "order_ids": ",".join(map(str, report.order_ids)),
        "client_order_ids": ",".join(report.client_order_ids),
        "filled_qty": plain(report.filled_qty),
        "avg_price": "" if report.avg_price is None else plain(report.avg_price),
        "position_before": "" if report.position_before is None else plain(report.position_before),
        "position_after": "" if report.position_after is None else plain(report.position_after),
        "evidence": report.evidence,
    }
    if report.executed:
        fields |= {"decision": str(Verdict.CLOSE), "approved": "True"}
    if not as_confirmation:
        fields |= {
            "reason": outcome.reason,
            "code": "" if outcome.code is None else str(outcome.code),
            "veto": "" if report.executed else _vetoed(outcome),
        }
    return fields | _said(
        cause=" ".join(map(str, cause)),
        cancelled=",".join(report.cancelled),
        left="unknown" if report.unlisted else ",".join(report.left),
    )


def _vetoed(outcome: Outcome) -> str:
    """What stopped it: a word, or the rule with its threshold and the value seen."""
    return outcome.reason if outcome.veto is None else msgspec.json.encode(outcome.veto).decode()


def stamp(producer: Producer, created_at_ms: int, mode: Mode | None) -> dict[str, str]:
    """What every entry of ours carries."""
    return {
        "schema": SCHEMA,
        "producer": msgspec.json.encode(producer).decode(),
        "created_at": iso_ms(created_at_ms),
    } | _said(mode="" if mode is None else str(mode))


def _wish(wish: Wish, producer: Producer, created_at_ms: int) -> dict[str, str]:
    """Scores go first, so that whatever they are called none of them can stand for a field of ours."""
    return (
        wish.scores
        | stamp(producer, created_at_ms, wish.mode)
        | {
            "intent_id": wish.intent_id,
            "symbol": wish.symbol,
            "position_side": str(wish.position_side),
            "action": wish.action,
            "origin_at": iso_ms(wish.origin_at),
            "age_source": str(wish.age_source),
        }
        | _said(
            fraction="" if wish.fraction is None else plain(wish.fraction),
            quantity="" if wish.quantity is None else plain(wish.quantity),
            expires_at="" if wish.expires_at is None else iso_ms(wish.expires_at),
            position_amt="" if wish.position_amt is None else plain(wish.position_amt),
            position_update_time="" if wish.position_update_time is None else str(wish.position_update_time),
            reason=wish.reason,
            source=wish.source,
            cause=" ".join(map(str, wish.cause)),
            reduce_only="True" if isinstance(classify_action(wish.action), Trades) else "",
        )
    )


def _said(**fields: str) -> dict[str, str]:
    """An optional field that says nothing is left out."""
    return {name: value for name, value in fields.items() if value}


def _codes(codes: tuple[str, ...]) -> str:
    """Comma-separated as older readers expect it, JSON where a code would not survive that."""
    joined = ",".join(codes)
    simple = (
        not joined.startswith("[")
        and tuple(code for part in joined.split(",") if (code := part.strip())) == codes
    )
    return joined if simple else json.dumps(codes)
