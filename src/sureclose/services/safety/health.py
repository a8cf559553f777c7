"""What the safety controller says of itself: one document in the log, and one event a minute while it is armed."""

from typing import Final

import msgspec

from sureclose.domain.safety import Answer, Finding
from sureclose.services.safety.eyes import Watched

SHOWN: Final = 20
"""Positions of which an event tells; the document tells of all."""


class PositionHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One open position, and each rule's answer."""

    symbol: str
    position_side: str
    amount: str
    entry_price: str
    rules: tuple[Finding, ...]

    @classmethod
    def of(cls, watched: Watched) -> "PositionHealth":
        where = watched.position
        return cls(
            symbol=where.symbol,
            position_side=where.position_side,
            amount=f"{where.amount:f}",
            entry_price=f"{where.entry_price:f}",
            rules=watched.findings,
        )


class SafetyHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The controller at one moment. ``at`` and ``started_at`` are the log's milliseconds.

    ``blind`` says why it can't tell what is open; ``positions`` then are none, not zero.
    """

    at: int
    started_at: int
    worker: str
    host: str
    pid: int
    blind: str
    positions: tuple[PositionHealth, ...]
    idle: tuple[str, ...]
    """Why it would not act now on a rule that fires; empty when it would."""
    acting: bool = False

    def document(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def parse(cls, document: bytes) -> "SafetyHealth":
        return msgspec.json.decode(document, type=cls)

    def facts(self, armed_until: str) -> dict[str, str]:
        """As the event of it has them."""
        return {
            "positions": "unknown" if self.blind else str(len(self.positions)),
            "blind": self.blind,
            "armed_until": armed_until,
            "idle": "; ".join(self.idle),
            "rules": self._rules(),
            "worker": self.worker,
        }

    def _rules(self) -> str:
        """Each rule's answer on each position, those that fire first; a minute's event has room for so many."""
        firing = [one for one in self.positions if any(r.answer is Answer.FIRES for r in one.rules)]
        listed = [*firing, *(one for one in self.positions if one not in firing)]
        said = list(map(_said, listed[:SHOWN]))
        return "; ".join([*said, f"and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else said)


def _said(position: PositionHealth) -> str:
    rules = ", ".join(f"{rule.rule} {rule.answer} {rule.seen}".strip() for rule in position.rules)
    return f"{position.symbol} {position.position_side}: {rules}"
