"""The numbers that the rules of one effect use."""

import re
from enum import StrEnum
from typing import Final

import msgspec

_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{0,20}")
"""Of 36 characters an order id has, 16 at least tell one attempt from all others."""


class Clears(StrEnum):
    """Which resting orders are cancelled when the venue refuses to close because of them."""

    REDUCING = "reducing"
    """Those that reduce the position being closed: same symbol, same side."""
    NONE = "none"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers that the rules of one effect use; all times in milliseconds.

    ``margin`` is added to a deadline before a not-found answer counts, for an order can be queued inside the venue;
    ``spread`` is how far apart the counted answers must lie. ``park_after`` is how long a contradiction must stand,
    from when a process first met it, before a person is asked: longer than any read lag, so that a fault alone never
    parks. ``setbacks`` is how many definite refusals in a row are taken.
    """

    account: str
    client_order_id_prefix: str = "sc-"
    max_age: int = 60_000
    margin: int = 1_000
    spread: int = 1_000
    not_found_answers: int = 3
    park_after: int = 60_000
    setbacks: int = 60
    patience: int = 10
    """How often reads that don't fit together are repeated before they are judged as they are."""
    clears: Clears = Clears.REDUCING
    tidies: bool = True
    """Whether reducing orders that a flat position leaves behind are cancelled."""
    first_wait: int = 50
    longest_wait: int = 1_000

    def __post_init__(self) -> None:
        if _PREFIX.fullmatch(self.client_order_id_prefix) is None:
            raise ValueError(
                f"a prefix of order ids is at most 20 letters, digits, - and _: {self.client_order_id_prefix!r}"
            )
