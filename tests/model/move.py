"""One move: what happened, in words, and the world after it."""

from enum import StrEnum
from typing import NamedTuple

from tests.model.world import World


class Deed(StrEnum):
    """Moves that a law speaks of."""

    NONE = ""
    GATE = "gate"
    SEND = "send"
    PUBLISH = "publish"


class Move(NamedTuple):
    """One move. ``faulty`` moves use up a part of the bound, or are no way to an end by themselves."""

    words: str
    world: World
    faulty: bool = False
    deed: Deed = Deed.NONE
    process: int = -1
    plan: int = -1
    number: int = -1
    """The SENDING or ENDED fact that the deed is about."""
