"""Identity: one id goes from the intent to the fill, and no id uses a clock or chance."""

import hashlib
from decimal import Decimal
from typing import Final

import msgspec

CLIENT_ORDER_ID_LENGTH: Final = 36
"""Longest ``newClientOrderId`` that Binance takes (its order endpoint's parameter table)."""

_HASH_LENGTH: Final = 32


def digest(*parts: str) -> str:
    """128 bits of SHA-256 over the parts as a JSON array, so that no two lists of parts run together."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:_HASH_LENGTH]


def intent_id_for_entry(stream: str, entry_id: str) -> str:
    """The id of an older intent that came without one."""
    return digest("intent", stream, entry_id)


def plan_id_for(
    intent_id: str,
    symbol: str,
    position_side: str,
    action: str,
    fraction: Decimal | None,
    quantity: Decimal | None,
) -> str:
    """The plan of an intent; ``0.50`` and ``0.5`` are one fraction, so they are one plan, and so is a float near it."""
    return digest(
        "plan",
        intent_id,
        symbol,
        position_side,
        action,
        "" if fraction is None else plain(amount_key(fraction)),
        "" if quantity is None else plain(amount_key(quantity)),
    )


def amount_key(amount: Decimal) -> Decimal:
    """What tells amounts apart: eight decimals, the most that Binance's quantities have. Beyond them is a float's noise."""
    return round(amount, 8).normalize()


def client_order_id_for(prefix: str, account: str, plan_id: str, attempt: int) -> str:
    """The id of one attempt; never reused, for Binance keeps ids unique among open orders only."""
    room = CLIENT_ORDER_ID_LENGTH - len(prefix)
    return prefix + digest("order", account, plan_id, str(attempt))[:room]


def plain(number: Decimal) -> str:
    """A decimal as the wire wants it: no exponent."""
    return format(number, "f")
