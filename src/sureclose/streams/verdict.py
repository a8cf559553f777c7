"""What a stage says about one entry. A closed set: every entry ends as exactly one of these, or is kept."""

import msgspec

from sureclose.streams.fields import Unreadable
from sureclose.streams.publish import Event


class Emit(msgspec.Struct, frozen=True):
    """These events come of it. ``label`` is what is counted."""

    events: tuple[Event, ...]
    label: str


class Drop(msgspec.Struct, frozen=True):
    """Nothing comes of it, and that is right: acknowledged, and counted by its reason.

    ``told`` is the record of a wish that was refused, published with the acknowledgement.
    """

    reason: str
    told: tuple[Event, ...] = ()


class Dead(msgspec.Struct, frozen=True):
    """It can't be understood: the entry goes to ``dead.letter`` with the reason, and the stream goes on."""

    why: Unreadable
    label: str


class Keep(msgspec.Struct, frozen=True):
    """``decide`` has taken it, and whoever took it acknowledges it later, with its outcome. Counted by its label.

    From here until then its id has to be among the stage's ``in_flight``.
    """

    label: str


StageVerdict = Emit | Drop | Dead | Keep
