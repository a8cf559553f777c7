"""The intent executor: from a wish to a plan. Reads intents as ``intent_executor_harvest``, writes ``apply.plan``."""

from collections.abc import Callable

from sureclose.domain.events import Intent
from sureclose.domain.planning import plan_for
from sureclose.services.reading import Wiring, understood
from sureclose.streams.clock import Moment
from sureclose.streams.encode import encode_plan
from sureclose.streams.entry import Entry
from sureclose.streams.names import StreamName
from sureclose.streams.verdict import Emit, StageVerdict

NAME = "intent-executor"


def decider(wiring: Wiring) -> Callable[[Entry, Moment], StageVerdict]:
    """What to do with an entry of the intents' stream at a time."""

    def decide(entry: Entry, at: Moment) -> StageVerdict:
        intent = understood(wiring, wiring.streams.intents, entry, at, Intent)
        if not isinstance(intent, Intent):
            return intent
        plan = plan_for(intent, entry.ref, wiring.rules.mode)
        fields = encode_plan(plan, wiring.producer, at.now)
        return Emit((wiring.event(StreamName.APPLY_PLAN, fields),), "plan")

    return decide
