"""What is asked for, as the API reads it."""

from collections.abc import Iterable, Mapping
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


def said_of_all(
    *,
    fraction: Amount | None,
    reason: str,
    expires_at: datetime | None,
    mode: str | None,
) -> dict[str, Any]:
    """What wishes of both kinds have in common; what is not said is left out. Raises ``ValueError``, ``TypeError``."""
    if expires_at is not None and expires_at.tzinfo is None:
        raise ValueError("expires_at has no zone; datetime.now(UTC) has one")
    said = {
        "fraction": None if fraction is None else _text("fraction", fraction),
        "reason": reason or None,
        "expires_at": None if expires_at is None else _time(expires_at),
        "mode": mode,
    }
    return _without_nothing(said)


def one_wish(
    symbol: str,
    *,
    side: Side | str | None,
    quantity: Amount | None,
    intent_id: str | None,
    common: Mapping[str, Any],
) -> dict[str, Any]:
    """The body of a request for one close. Raises ``ValueError``, ``TypeError``."""
    if quantity is not None and "fraction" in common:
        raise ValueError("say a fraction or a quantity, not both")
    own = {
        "symbol": symbol,
        "position_side": None if side is None else Side(side.lower()).upper(),
        "quantity": None if quantity is None else _text("quantity", quantity),
        "intent_id": intent_id,
    }
    return {**_without_nothing(own), **common}


def all_wish(
    *, side: Side | str | None, symbols: Iterable[str] | None, common: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of a request for a close of each position. Raises ``ValueError``, ``TypeError``."""
    if isinstance(symbols, str):
        raise TypeError("symbols is one text; write ['ETHUSDT']")
    own = {
        "side": None if side is None else Side(side.lower()),
        "symbols": None if symbols is None else list(symbols),
    }
    return {**_without_nothing(own), **common}


def _without_nothing(said: Mapping[str, Any]) -> dict[str, Any]:
    """What is said."""
    return {name: value for name, value in said.items() if value is not None}


def _text(name: str, amount: Amount) -> str:
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int | str):
        raise TypeError(f"{name} is a {type(amount).__name__}; write Decimal('0.5'), or '0.5'")
    return f"{amount:f}" if isinstance(amount, Decimal) else str(amount)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
