"""What a policy sees of one position, and what it may answer. A policy of your own needs nothing else of this house.

A policy is a pure function of its ``View``: no clock, no chance, no I/O, no memory; what was so earlier stands in
``View.episode``. It decides about one position at a time, so that no symbol can hold up another. Whatever it proposes
goes through the same path as everybody's wish to close, which closes the smaller of what was proposed and what is there.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from sureclose.domain.harvest.limits import Limits
from sureclose.domain.market import Position
from sureclose.domain.safety import Mark


class Condition(StrEnum):
    """Why nothing can be decided of a position: a closed set, for each is a condition that people are shown."""

    POSITION_FLAT = "position_flat"
    """There is nothing to decide about (incident 89)."""
    POSITION_STALE = "position_stale"
    POSITION_ABSURD = "position_absurd"
    STOP_DISTANCE_ABSURD = "stop_distance_absurd"
    ENTRY_PRICE_ABSURD = "entry_price_absurd"
    MARK_MISSING = "mark_missing"
    MARK_STALE = "mark_stale"
    MARK_ABSURD = "mark_absurd"
    KLINES_MISSING = "klines_missing"
    KLINES_TOO_FEW = "klines_too_few"
    KLINES_STALE = "klines_stale"
    KLINES_ABSURD = "klines_absurd"
    EPISODE_UNCLEAR = "episode_unclear"
    """It can't be told yet whether this is the position that was seen before."""
    AGE_UNKNOWN = "age_unknown"
    """The venue's trades do not reach back to its opening."""
    POLICY_UNDECIDED = "policy_undecided"
    """The policy's own reason."""
    POLICY_FAILED = "policy_failed"
    """It raised something."""
    POLICY_BROKE_CONTRACT = "policy_broke_contract"
    """It answered what no policy may; the answer was dropped."""


class NoDecision(msgspec.Struct, frozen=True):
    """What is needed is missing, or can't be believed. Never a guess, and not the same as ``Hold``."""

    condition: Condition
    why: str


class MarketState(msgspec.Struct, frozen=True, kw_only=True):
    """How the market of one symbol has been, from its klines. Statistics: no price or quantity is made of them.

    The three probabilities sum to 1. ``sigma`` is the standard deviation of the returns of one kline, ``trend_strength``
    is from 0 to 1, ``at`` is when the last kline closed (venue milliseconds).
    """

    p_trend: float
    p_mr: float
    """Mean reversion."""
    p_chop: float
    sigma: float
    trend_strength: float
    at: int

    def __post_init__(self) -> None:
        shares = (self.p_trend, self.p_mr, self.p_chop, self.trend_strength)
        if not all(0 <= share <= 1 for share in shares) or not 0 <= self.sigma < math.inf:
            raise ValueError(f"no state of a market: {self}")
        if abs(self.p_trend + self.p_mr + self.p_chop - 1) > 1e-6:
            raise ValueError(f"the probabilities do not sum to 1: {self}")


class EpisodeState(msgspec.Struct, frozen=True, kw_only=True):
    """One position from its leaving zero to its return there, as far as it has been followed.

    ``name`` tells it from all others for good. ``opened_at`` is when it left zero, venue milliseconds; when not ``exact`` it
    is older than that, and ``None`` says that nothing is known. ``rung`` is the highest that was proposed (0 for none).
    """

    name: str
    first_amount: Decimal
    """Signed, as first seen. It stays as it is, whatever is added or closed."""
    opened_at: int | None
    exact: bool = True
    rung: int = 0
    asked: frozenset[str] = frozenset()
    """The names of all proposals that were made in it."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """All that may be known of one open position at one moment. ``now`` is in venue milliseconds.

    What was missing, stale or absurd is ``None`` here and has its reason in ``doubts``: a policy that meets a ``None`` that
    it needs answers with ``view.doubt(...)``. What is not ``None`` has passed the checks of ``looking.view_of``, which makes
    every view; ``asking.ask`` puts it to a policy and never raises.
    """

    position: Position
    mark: Mark | None
    market: MarketState | None
    episode: EpisodeState
    now: int
    stop_distance: Decimal
    """Of the entry price, how far away the stop is: one R."""
    limits: Limits = Limits()
    doubts: tuple[NoDecision, ...] = ()

    def doubt(self, *conditions: Condition) -> NoDecision:
        """The first doubt of these kinds; of any kind when none is named."""
        found = (one for one in self.doubts if not conditions or one.condition in conditions)
        return next(found, NoDecision(Condition.POLICY_UNDECIDED, "what the policy needs is not there"))


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to close: all or a fraction of what is open, or a quantity.

    ``name`` is what makes it one wish: unique within an episode, the same for the same wish whoever makes it and whenever,
    letters, digits and dashes. ``action`` is a word of the table of actions that closes something. Exactly one of
    ``fraction`` (0 < f <= 1, the action's own) and ``quantity`` (above 0, at most the position) is set.
    """

    name: str
    action: str
    reason: str
    fraction: Decimal | None = None
    quantity: Decimal | None = None
    rung: int | None = None
    """For a ladder: which rung it takes, and with it all below."""
    scores: Mapping[str, str] = {}
    """``R_net``, ``profit_lock``, ``kill_score``, ``k_*`` as texts: they travel along as information and veto nothing."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed was there, and nothing is to be done."""

    reason: str
    scores: Mapping[str, str] = {}


Judgement: TypeAlias = Proposal | Hold | NoDecision


@runtime_checkable
class Policy(Protocol):
    """What an entry point of the group ``sureclose.policies`` gives, or a class or function without arguments makes.

    ``name`` is part of each intent's id: with another name it is another decider.
    """

    @property
    def name(self) -> str: ...

    def judge(self, view: View) -> Judgement:
        """One answer about one position: the same for the same view, and without an exception."""
        ...
