"""The apply layer: from a plan to a decision. Reads ``apply.plan`` as ``apply_layer``, writes ``apply.result``."""

from collections.abc import Callable

from sureclose.domain.events import Plan
from sureclose.domain.planning import decision_for
from sureclose.services.reading import Wiring, understood
from sureclose.streams.clock import Moment
from sureclose.streams.encode import encode_decision
from sureclose.streams.entry import Entry
from sureclose.streams.names import StreamName
from sureclose.streams.verdict import Emit, StageVerdict

NAME = "apply-layer"


def decider(wiring: Wiring, max_age: int) -> Callable[[Entry, Moment], StageVerdict]:
    """What to do with an entry of ``apply.plan`` at a time; ``max_age`` in milliseconds."""

    def decide(entry: Entry, at: Moment) -> StageVerdict:
        plan = understood(wiring, StreamName.APPLY_PLAN, entry, at, Plan)
        if not isinstance(plan, Plan):
            return plan
        decision = decision_for(plan, entry.ref, wiring.rules.mode, at.by(plan.origin_at), max_age)
        fields = encode_decision(decision, wiring.producer, at.now)
        return Emit((wiring.event(StreamName.APPLY_RESULT, fields),), decision.verdict.lower())

    return decide
