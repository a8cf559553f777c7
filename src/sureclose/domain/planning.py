"""From an intent to a plan, and from a plan to a decision: pure, and nearly empty on purpose.

Gates made for entries do not apply to closes. No score, cap, list, cooldown or margin stops one here: they are passed
on as they came. What may stop a close at this point is its age; all else is the engine's to see at the venue.
"""

from typing import Any

from sureclose.domain.events import Decision, EntryRef, Intent, Plan, Veto, Wish
from sureclose.domain.ids import amount_key, plan_id_for
from sureclose.domain.times import CLOCK_TOLERANCE_MS, iso_ms
from sureclose.domain.words import Mode, Verdict

APPROVED = "close_approved"
"""The reason code of an approval. It stands in ``reason_codes`` and never in a field for errors."""


SAME_INTENT = "same_intent"
"""Why a plan is not sent: another plan of its intent was, for the same position."""


def plan_for(intent: Intent, entry: EntryRef, mode: Mode) -> Plan:
    """The plan of an intent. The same intent gives the same plan, whoever makes it and how often."""
    return Plan(**_wish(intent, entry, mode), plan_id=planned_id(intent))


def planned_id(wish: Wish) -> str:
    """The id of the plan that this wish amounts to. A decision that was not made from its own plan has another one."""
    return plan_id_for(
        wish.intent_id, wish.symbol, wish.position_side, wish.action, wish.fraction, wish.quantity
    )


def warrantable(decision: Decision) -> str:
    """The intent whose warrant counts for this close: none, when its plan doesn't follow from its own content."""
    return decision.intent_id if decision.plan_id == planned_id(decision) else ""


def same_close(one: Wish, other: Wish) -> bool:
    """Whether both ask for the same: what a plan's id stands for, whoever wrote it."""
    return asked(one) == asked(other)


def same_age(one: Wish, other: Wish) -> bool:
    """Whether both are as old as each other, so that what is too old in one is so in the other."""
    return (one.origin_at, one.expires_at) == (other.origin_at, other.expires_at)


def same_delivery(one: EntryRef, its: Decision, other: EntryRef, others: Decision) -> bool:
    """Whether two entries are one delivery: one and the same, or the one was handed on as the other."""
    return one == other or one in others.cause or other in its.cause


def asked(wish: Wish) -> tuple[object, ...]:
    """What a wish asks for, as plain values that can be compared and written down."""
    amounts = (None if amount is None else amount_key(amount) for amount in (wish.fraction, wish.quantity))
    return wish.symbol, wish.position_side, *amounts


def decision_for(plan: Plan, entry: EntryRef, mode: Mode, now: int, max_age: int) -> Decision:
    """The verdict on a plan: CLOSE, or SKIP with the veto that says why. ``now`` and ``max_age`` in milliseconds."""
    veto = too_old(plan, now, max_age)
    return Decision(
        **_wish(plan, entry, mode),
        plan_id=plan.plan_id,
        verdict=Verdict.CLOSE if veto is None else Verdict.SKIP,
        approved=veto is None,
        reason_codes=(*plan.reason_codes, APPROVED if veto is None else veto.rule),
        veto=veto,
    )


def valid_until(wish: Wish, max_age: int) -> int:
    """The last millisecond, by a clock that may be off, in which ``too_old`` could let it pass."""
    last = wish.origin_at + max_age if wish.expires_at is None else wish.expires_at
    return last + CLOCK_TOLERANCE_MS


def too_old(wish: Wish, now: int, max_age: int) -> Veto | None:
    """The one rule of age: ``expires_at`` where it is given, else ``max_age`` from when the wish was first made."""
    if wish.expires_at is not None:
        if now <= wish.expires_at:
            return None
        return Veto("expired", f"expires_at {iso_ms(wish.expires_at)}", f"now {iso_ms(now)}")
    age = now - wish.origin_at
    if age <= max_age:
        return None
    return Veto("expired", f"max_age {max_age} ms", f"age {age} ms ({wish.age_source})")


def sent_already(other: str) -> Veto:
    """One wish is one close, in however many ways it was spelled; ``other`` is the plan that was sent for it."""
    return Veto(SAME_INTENT, "one close for an intent and a position", f"sent as plan {other}")


def _wish(wish: Wish, entry: EntryRef, mode: Mode) -> dict[str, Any]:
    """What goes on unchanged, with one more entry in the cause and the environment it is meant for."""
    carried = {name: getattr(wish, name) for name in Wish.__struct_fields__}
    return carried | {"cause": (*wish.cause, entry), "mode": mode}
