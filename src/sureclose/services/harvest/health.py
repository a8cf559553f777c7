"""What harvest says of itself: one document in the log, which `sureclose harvest status` shows."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

import msgspec

from sureclose.domain.harvest.policy import Hold, Judgement, NoDecision, Proposal
from sureclose.domain.harvest.wishes import Kept, Wish
from sureclose.domain.market import Position
from sureclose.domain.safety import Mark


class Answer(StrEnum):
    """What was decided about a position."""

    PROPOSES = "proposes"
    HOLDS = "holds"
    WAITS = "waits"
    """It would propose, and must not yet."""
    UNDECIDED = "undecided"


class PositionHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One open position. Amounts and prices are decimals as texts, empty where they are not known."""

    symbol: str
    position_side: str
    amount: str
    entry_price: str
    answer: Answer
    reason: str
    mark: str = ""
    mark_at: int = 0
    condition: str = ""
    """Why nothing can be decided: a word of the closed set."""
    undecided_s: float = 0.0
    by: str = ""
    """Who judged: the policy, or the rules that protect in its place."""
    scores: Mapping[str, str] = {}
    episode: str = ""
    opened_at: int | None = None
    first_amount: str = ""
    rung: int = 0
    asked: tuple[str, ...] = ()
    wish: Wish | None = None
    """The last proposal that became an intent."""

    @property
    def subject(self) -> str:
        """As alarms name it."""
        return self.symbol if self.position_side == "BOTH" else f"{self.symbol}:{self.position_side}"


class HarvestHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Harvest at one moment. ``at`` and ``started_at`` are the log's milliseconds.

    ``blind`` says why it can't tell what is open; ``positions`` then are none, not zero.
    """

    at: int
    started_at: int
    worker: str
    host: str
    pid: int
    policy: str
    shadow: tuple[str, ...]
    blind: str
    positions: tuple[PositionHealth, ...]
    faults: Mapping[str, str] = {}
    """By policy, what is wrong with it."""

    def document(self) -> bytes:
        return msgspec.json.encode(self)


def parsed(document: bytes | None) -> HarvestHealth | None:
    """What somebody said last; what another version wrote is nothing."""
    try:
        return None if document is None else msgspec.json.decode(document, type=HarvestHealth)
    except msgspec.DecodeError:
        return None


def health_of(
    position: Position,
    mark: Mark | None,
    kept: Kept | None,
    judgement: Judgement,
    *,
    by: str = "",
    wait: str = "",
    scores: Mapping[str, str] = MappingProxyType({}),
) -> PositionHealth:
    """What is to be told of a position: ``scores`` is what is known of it whoever judged, ``wait`` why no proposal is made now."""
    match judgement:
        case Proposal():
            answer = Answer.WAITS if wait else Answer.PROPOSES
            reason, own = f"{judgement.name}: {wait or judgement.reason}", judgement.scores
        case Hold():
            answer, reason, own = Answer.HOLDS, judgement.reason, judgement.scores
        case NoDecision():
            answer, reason, own = Answer.UNDECIDED, judgement.why, {}
        case _:
            assert_never(judgement)
    episode = None if kept is None else kept.followed.episode
    return PositionHealth(
        symbol=position.symbol,
        position_side=str(position.position_side),
        amount=f"{position.amount:f}",
        entry_price=f"{position.entry_price:f}",
        mark="" if mark is None else f"{mark.price:f}",
        mark_at=0 if mark is None else mark.at,
        answer=answer,
        reason=reason,
        condition=str(judgement.condition) if isinstance(judgement, NoDecision) else "",
        by=by,
        scores={**scores, **own},
        episode="" if episode is None else episode.name,
        opened_at=None if episode is None else episode.opened_at,
        first_amount="" if episode is None else f"{episode.first_amount:f}",
        rung=0 if episode is None else episode.rung,
        asked=() if episode is None else tuple(sorted(episode.asked)),
        wish=None if kept is None else kept.wish,
    )
