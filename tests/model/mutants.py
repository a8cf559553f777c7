"""Deliberate breaks of the protocol, each a switch of the model's shell: a search that finds nothing must be able to fail."""

from enum import StrEnum


class Mutant(StrEnum):
    """What is done wrong."""

    NO_EPOCH = "the gate does not look at the lease and its epoch"
    NO_CHAIN = "after a lost answer a process goes on, and the scripts compare neither chain nor attempt"
    NO_FREEZE = "the gate does not look at the freeze"
    NO_FLIGHT = "the gate does not look at single flight"
    NO_CLAIM = "the gate does not look at the intent's claim"
    NO_LANE = "a close is sized while another one of the position is under way"
    NO_DEADLINE = "not found counts before the deadline"
    RESEND = "no answer is taken for a refusal"
    UNHEARD_GATE = "a lost answer of the gate is taken for a pass"
    LATE_SEND = "an attempt whose window is half gone is sent with a new timestamp"
    ACK_EARLY = "an entry is acknowledged when it is delivered"
    DONE_BY_ANSWER = "an accepted order counts as filled"
    REMAINDER_BY_POSITION = "what is left to close is taken from the position"
    CACHED_FLAT = "the position is read back from a cache that says it is fresh"
    NO_WAIT = "after a loss of the log nobody waits"
    NO_REBUILD = "after a loss of the log the venue's orders are not joined"
