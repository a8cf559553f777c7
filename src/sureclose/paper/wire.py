"""How values look on the wire: decimals as plain strings, never as floats or exponents."""

from decimal import Decimal
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()


def plain(value: Decimal, places: int) -> str:
    """`value` with exactly `places` decimals, never negative zero and never in exponent form."""
    text = f"{value:.{places}f}"
    return text[1:] if text[0] == "-" and not text.strip("-0.") else text


def trimmed(value: Decimal) -> str:
    """`value` with as many decimals as it needs."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text.strip("-0.") else "0"


def encode(value: Any) -> bytes:
    return _ENCODER.encode(value)
