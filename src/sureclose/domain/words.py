"""The closed sets of words that events, orders and records share."""

from enum import StrEnum


class Side(StrEnum):
    """The side of an order. It comes from the sign of the venue's position, never from an event."""

    BUY = "BUY"
    SELL = "SELL"


class PositionSide(StrEnum):
    """Which position is meant. On a one-way account LONG and SHORT say which sign BOTH must have."""

    BOTH = "BOTH"
    LONG = "LONG"
    SHORT = "SHORT"


class Mode(StrEnum):
    """The environment something was decided for; what was decided for one is executable in no other."""

    PAPER = "paper"
    DEMO = "demo"
    LIVE = "live"


class AgeSource(StrEnum):
    """Where an event's age was taken from."""

    FIELD = "field"
    ENTRY_ID = "entry_id"


class Verdict(StrEnum):
    """What the apply layer says of a plan. Only CLOSE is an approval."""

    CLOSE = "CLOSE"
    SKIP = "SKIP"
    BLOCKED = "BLOCKED"
    ERROR = "ERROR"
