"""What travels on the streams, once understood: intent, plan, decision."""

from decimal import Decimal

import msgspec

from sureclose.domain.words import AgeSource, Mode, PositionSide, Verdict


class EntryRef(msgspec.Struct, frozen=True, order=True):
    """One entry of one stream: its full stream name and its id."""

    stream: str
    entry_id: str

    def __str__(self) -> str:
        return f"{self.stream}@{self.entry_id}"

    @classmethod
    def parse(cls, text: str) -> "EntryRef":
        """The inverse of ``str``; raises ``ValueError`` when the text is no reference."""
        stream, separator, entry_id = text.rpartition("@")
        if not separator or not stream or not entry_id:
            raise ValueError(f"not an entry reference: {text!r}")
        return cls(stream, entry_id)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What intent, plan and decision have in common.

    ``fraction`` (0 < f <= 1) is of the position at sizing; ``quantity`` is a maximum in base units. At least one is
    set, and the target is the smaller of the two. Times are milliseconds since the epoch, and cover the resolution
    they were written with. ``origin_at`` is when the wish was first made: age is counted from it, so that no stage
    makes a stale wish young.
    """

    intent_id: str
    symbol: str
    position_side: PositionSide
    action: str
    fraction: Decimal | None
    quantity: Decimal | None
    origin_at: int
    age_source: AgeSource
    expires_at: int | None = None
    position_amt: Decimal | None = None
    position_update_time: int | None = None
    mode: Mode | None = None
    reason: str = ""
    source: str = ""
    scores: dict[str, str] = {}
    """``R_net``, ``profit_lock``, ``kill_score`` and ``k_*`` as they came: recorded, never obeyed by a close."""
    cause: tuple[EntryRef, ...] = ()
    """The entries this one came from, oldest first; the trace follows them."""


class Intent(Wish, frozen=True, kw_only=True):
    """Somebody's wish to close or reduce."""


class Plan(Wish, frozen=True, kw_only=True):
    """An intent made concrete for one symbol."""

    plan_id: str
    reason_codes: tuple[str, ...] = ()


class Veto(msgspec.Struct, frozen=True):
    """The rule that stopped a plan, with its threshold and the value seen."""

    rule: str
    threshold: str
    seen: str


class Decision(Wish, frozen=True, kw_only=True):
    """The apply layer's verdict on a plan. ``approved`` and ``verdict`` are two fields on purpose."""

    plan_id: str
    verdict: Verdict
    approved: bool
    reason_codes: tuple[str, ...] = ()
    veto: Veto | None = None
