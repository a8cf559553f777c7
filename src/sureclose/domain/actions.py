"""The one table of actions: what each word closes. A word that is not in it closes nothing and is refused."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from sureclose.domain.words import PositionSide


class Idle(StrEnum):
    """Why an action that is understood is no close."""

    HOLD = "hold"
    STOP_LOSS_UPDATE = "stop_loss_update"
    ENTRY = "entry"


class Closes(msgspec.Struct, frozen=True):
    """Closes exactly this fraction of the position."""

    fraction: Decimal


class NeedsAmount(msgspec.Struct, frozen=True):
    """Closes what its own fraction or quantity says; without one it says nothing."""


class Trades(msgspec.Struct, frozen=True):
    """A BUY or SELL: an entry unless it says that it reduces, and then it needs a quantity.

    ``reduces`` is the only position that such an order can make smaller.
    """

    reduces: PositionSide


class NotClosing(msgspec.Struct, frozen=True):
    """Understood, and no close."""

    why: Idle


class Unknown(msgspec.Struct, frozen=True):
    """Not in the table: refused, for the nearest meaning of a word has closed the wrong amount before."""


Action: TypeAlias = Closes | NeedsAmount | Trades | NotClosing | Unknown

CLOSE: Final = "CLOSE"
PARTIAL_CLOSE: Final = "PARTIAL_CLOSE"

ALL: Final = Decimal(1)

ACTIONS: Final[dict[str, Action]] = {
    CLOSE: Closes(ALL),
    "FULL_CLOSE_PROPOSED": Closes(ALL),
    "TIME_STOP_EXIT": Closes(ALL),
    "TOXICITY_UNWIND": Closes(ALL),
    "MANUAL_CLOSE": Closes(ALL),
    "EMERGENCY_SL_CLOSE": Closes(ALL),
    "PARTIAL_75": Closes(Decimal("0.75")),
    "PARTIAL_50": Closes(Decimal("0.50")),
    "PARTIAL_25": Closes(Decimal("0.25")),
    "REDUCE_50": Closes(Decimal("0.50")),
    "REDUCE_25": Closes(Decimal("0.25")),
    "PARTIAL_CLOSE_25": Closes(Decimal("0.25")),
    "HARVEST_70_KEEP_30": Closes(Decimal("0.70")),
    PARTIAL_CLOSE: NeedsAmount(),
    "RECONCILE_CLOSE": NeedsAmount(),
    "SELL": Trades(PositionSide.LONG),
    "BUY": Trades(PositionSide.SHORT),
    "HOLD": NotClosing(Idle.HOLD),
    "UPDATE_SL": NotClosing(Idle.STOP_LOSS_UPDATE),
    "ENTRY_PROPOSED": NotClosing(Idle.ENTRY),
}

STEP_FRACTIONS: Final[dict[str, Decimal]] = {
    "CLOSE_FULL": ALL,
    "CLOSE_PARTIAL_75": Decimal("0.75"),
    "CLOSE_PARTIAL_50": Decimal("0.50"),
    "CLOSE_PARTIAL_25": Decimal("0.25"),
}
"""The words of ``steps[].step`` in older plans, which must agree with ``steps[].pct`` and with the action."""

_UNKNOWN: Final = Unknown()


def canonical(word: str) -> str:
    """The spelling of the table. Only ASCII is folded, so that no look-alike becomes a word of ours."""
    stripped = word.strip()
    return stripped.upper() if stripped.isascii() else stripped


def classify_action(word: str) -> Action:
    """What the word closes; total, for what is not in the table is ``Unknown``."""
    return ACTIONS.get(canonical(word), _UNKNOWN)


class Amount(msgspec.Struct, frozen=True):
    """How much an entry closes: at least one of the two is set, and ``quantity`` is a maximum."""

    action: str
    fraction: Decimal | None
    quantity: Decimal | None


class AmountError(ValueError):
    """What was stated is no amount, or is two. State the action's own fraction, or leave the fraction out."""


def amount_of(
    word: str, stated: Sequence[Decimal], quantity: Decimal | None, default: Decimal | None = None
) -> Amount:
    """The amount on which the action and all ``stated`` fractions agree; raises ``AmountError``.

    ``default`` counts where neither a word nor an amount was given: an approved CLOSE closes all. The answer names
    an action that agrees with its amount, so that it can be written and read again.
    """
    action = classify_action(word)
    if word and isinstance(action, Unknown | NotClosing):
        raise AmountError(f"{word!r} closes nothing")
    fractions = [action.fraction, *stated] if isinstance(action, Closes) else list(stated)
    if any(fraction != fractions[0] for fraction in fractions):
        raise AmountError(f"{word or 'the entry'} says {' and '.join(map(str, fractions))} of the position")
    fraction = fractions[0] if fractions else None
    if isinstance(action, Trades) and quantity is None:
        raise AmountError(f"a reducing {word} needs a quantity")
    if not word and fraction is None and quantity is None:
        fraction = default
    if fraction is None and quantity is None:
        raise AmountError(f"{word or 'the entry'} needs a fraction or a quantity")
    return Amount(word or (CLOSE if fraction == ALL else PARTIAL_CLOSE), fraction, quantity)
