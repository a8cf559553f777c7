"""The streams of the pipeline and the groups that read them."""

from enum import StrEnum


class StreamName(StrEnum):
    """A stream by its short name; the full name is the configured prefix and this."""

    HARVEST_INTENT = "harvest.intent"
    HARVEST_SHADOW = "harvest.shadow"
    """What policies that only watch would have proposed: nobody's wish."""
    TRADE_INTENT = "trade.intent"
    APPLY_PLAN = "apply.plan"
    APPLY_RESULT = "apply.result"
    EXECUTION_RESULT = "execution.result"
    AUTHORITY_EVENTS = "authority.events"
    DEAD_LETTER = "dead.letter"


class GroupName(StrEnum):
    """The consumer groups of the roles, by default."""

    INTENT_EXECUTOR = "intent_executor_harvest"
    APPLY_LAYER = "apply_layer"
    EXECUTION_EXITS = "execution_service_exits"
    HARVEST_BRAIN = "harvest_brain:execution"
    HANDOVER = "execution_service_handover"
