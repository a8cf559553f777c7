"""What a paper exchange is started with. Nothing here changes while it runs."""

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

_SEED = re.compile(
    r"(?P<symbol>[^=@\s]+)=(?P<amount>[+-]?[0-9]{1,15}(\.[0-9]{1,15})?)@(?P<entry>[0-9]{1,15}(\.[0-9]{1,15})?)"
)


class SettingsError(Exception):
    """The exchange can't be started as asked; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class SeedPosition:
    """A position that exists by fiat: amount signed (negative is short), entry price in the quote asset."""

    symbol: str
    amount: Decimal
    entry_price: Decimal

    @classmethod
    def parse(cls, text: str) -> "SeedPosition":
        found = _SEED.fullmatch(text)
        if found is None:
            raise SettingsError(
                f"position {text!r} is not understood: write SYMBOL=AMOUNT@ENTRY, e.g. ETHUSDT=0.5@2400 or BTCUSDT=-0.01@65000"
            )
        return cls(found["symbol"], Decimal(found["amount"]), Decimal(found["entry"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSettings:
    """Choices, each with a safe default. Where Binance's behaviour is not established, both readings are a switch.

    `oversize_market`: a reduce-only MARKET larger than the position is clamped and FILLED ("clamp"), or keeps its
    quantity and ends EXPIRED with reason 4 ("expire").
    `resting_reduce_only`: a reduce-only MARKET knocks resting reduce-only orders out ("knock_out"), or is itself
    refused with -4118 while they and it together exceed the position ("refuse").
    `order_response_includes_avg_price`: answers to order placement carry avgPrice and cumQuote, which Binance's own
    specification dropped on 2026-07-15.
    `strict_streams`: user data only under /private, as on Binance since 2026-04-23.
    `strict_signatures`: the signature must match the bytes as sent; else their percent-decoded form counts as well.
    `price_step_ppm`: largest move of a price per second, in millionths; 0 holds prices still.
    """

    host: str = "127.0.0.1"
    port: int = 0
    positions: tuple[SeedPosition, ...] = ()
    symbols: int = 0
    limits: Literal["real", "off"] = "off"
    seed: int = 1
    data: Path | None = None
    api_key: str | None = None
    api_secret: str | None = None
    balance: Decimal = Decimal(100_000)
    oversize_market: Literal["clamp", "expire"] = "clamp"
    resting_reduce_only: Literal["knock_out", "refuse"] = "knock_out"
    order_response_includes_avg_price: bool = False
    strict_streams: bool = False
    strict_signatures: bool = False
    price_step_ppm: int = 100
