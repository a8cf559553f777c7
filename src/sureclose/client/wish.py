"""What is asked for, as the API reads it."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias


class Side(StrEnum):
    """The side of the market that the position must be on."""

    LONG = "long"
    SHORT = "short"


Amount: TypeAlias = Decimal | int | str
"""A number as it is written. No float: a quantity that is not the one that was meant closes the wrong amount."""


def wish(
    *,
    side: Side | str | None,
    fraction: Amount | None,
    quantity: Amount | None,
    reason: str,
    expires_at: datetime | None,
) -> dict[str, Any]:
    """The body of a request; what is not said is left out. Raises ``ValueError``, ``TypeError``."""
    if fraction is not None and quantity is not None:
        raise ValueError("say a fraction or a quantity, not both")
    if expires_at is not None and expires_at.tzinfo is None:
        raise ValueError("expires_at has no zone; datetime.now(UTC) has one")
    said = {
        "position_side": None if side is None else Side(side.lower()).upper(),
        "fraction": None if fraction is None else _text("fraction", fraction),
        "quantity": None if quantity is None else _text("quantity", quantity),
        "reason": reason or None,
        "expires_at": None if expires_at is None else _time(expires_at),
    }
    return {name: value for name, value in said.items() if value is not None}


def _text(name: str, amount: Amount) -> str:
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int | str):
        raise TypeError(f"{name} is a {type(amount).__name__}; write Decimal('0.5'), or '0.5'")
    return f"{amount:f}" if isinstance(amount, Decimal) else str(amount)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
