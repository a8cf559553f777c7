"""The baseline safety controller's three rules. They are fixed: nothing here is configurable, and there is no fourth.

Each answers whether it fires, does not fire, or can't be evaluated now, and why (incident 75: two of three rules could
never fire, and nobody saw it). What is absurd, stale or unknown never fires.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.actions import ALL
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.ids import digest, plan_id_for
from sureclose.domain.market import Position, Trade
from sureclose.domain.words import AgeSource, Mode, PositionSide, Verdict

LOSS: Final = Decimal("-0.03")
"""Signed, of the entry price."""
AGE_MS: Final = 72 * 3_600_000
MARGIN: Final = Decimal("0.85")
"""Maintenance margin of the account through its margin balance."""

TRIES: Final = 3
"""Closes of one rule in one episode of a position. Then a person is told, and nothing more is sent for it."""
VALID_MS: Final = 60_000
"""How long the right to one close lasts, and the decision with it."""

FRESH_MS: Final = 12_000
"""How old what a rule looks at may be: two rounds of reads and the way they take."""
TWICE_MS: Final = 1_000
"""A breach counts when data so much younger than the first that showed it shows it again."""
AHEAD_MS: Final = 2_000
"""How far ahead of the venue's clock, as estimated here, a time of its own may be."""
SETTLED_MS: Final = 60_000
"""After how long the venue's trades and positions have everything that either of them shows."""

ACTION: Final = "EMERGENCY_SL_CLOSE"
"""Closes all, and goes before others where the venue's order limits bind."""


class Rule(StrEnum):
    LOSS = "loss"
    AGE = "age"
    MARGIN = "margin_ratio"


class Answer(StrEnum):
    FIRES = "fires"
    HOLDS = "does_not_fire"
    UNKNOWN = "not_evaluable"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says of one position. ``at`` is of when its data is, in venue milliseconds; 0 where there is none."""

    rule: Rule
    answer: Answer
    threshold: str
    seen: str = ""
    why: str = ""
    at: int = 0


class Mark(msgspec.Struct, frozen=True):
    """A mark price and the venue's own time of it."""

    price: Decimal
    at: int


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """The account's sums, ``totalMaintMargin`` and ``totalMarginBalance``; ``at`` had passed when they were asked for."""

    maintenance: Decimal
    balance: Decimal
    at: int


class Episode(msgspec.Struct, frozen=True):
    """Since when the position is not zero. When not ``exact`` it is older than its oldest trade that the venue shows."""

    since: int
    exact: bool


class Unclear(msgspec.Struct, frozen=True):
    """Why an episode can't be told. A ``passing`` doubt is over by itself, and nothing is done before it is."""

    why: str
    passing: bool


def episode(position: Position, trades: Iterable[Trade], now: int) -> Episode | Unclear:
    """When the position left zero, by walking back through the account's trades.

    ``updateTime`` is when it last changed, not when it was opened (incident 75); here it only shows whether trades and
    position speak of the same moment. The absence of trades proves no age: a list may lag, and the venue forgets.
    """
    own = [t for t in trades if (t.symbol, t.position_side) == (position.symbol, position.position_side)]
    if not own:
        recent = now - position.update_time < SETTLED_MS
        return Unclear("the venue shows no trade of it, so nothing says when it was opened", passing=recent)
    own.sort(key=lambda trade: (trade.time, trade.trade_id), reverse=True)
    newest = own[0].time
    if newest > position.update_time and position.requested_at - newest < SETTLED_MS:
        return Unclear("it was traded after it was read", passing=True)
    if newest < position.update_time and now - position.update_time < SETTLED_MS:
        return Unclear("its last change is not among its trades yet", passing=True)
    amount = position.amount
    for trade in own:
        amount -= trade.signed
        if amount * position.amount <= 0:
            return Episode(trade.time, exact=True)
    return Episode(own[-1].time, exact=False)


def loss(position: Position, mark: Mark | None, now: int) -> Finding:
    """(mark - entry) / entry of a long, mirrored for a short. Without fees and funding: what the price alone did."""
    threshold = f"<= {_percent(LOSS)}"
    why = _stale("the position", position.requested_at, now)
    if mark is None:
        why = why or "no mark price has been seen since the start"
    elif not why:
        why = _stale("the mark price", mark.at, now)
    if not why and position.entry_price <= 0:
        why = f"the venue says an entry price of {position.entry_price:f}"
    if not why and mark is not None and mark.price <= 0:
        why = f"the venue says a mark price of {mark.price:f}"
    if why or mark is None:
        return Finding(rule=Rule.LOSS, answer=Answer.UNKNOWN, threshold=threshold, why=why)
    moved = mark.price - position.entry_price if position.amount > 0 else position.entry_price - mark.price
    return Finding(
        rule=Rule.LOSS,
        answer=_answer(fires=moved <= LOSS * position.entry_price),
        threshold=threshold,
        seen=_percent(moved / position.entry_price),
        at=mark.at,
    )


def age(position: Position, since: Episode | Unclear, now: int) -> Finding:
    """The age of the episode; one that is only known to be older than something fires on that alone, or says nothing."""
    threshold = f">= {_hours(AGE_MS)}"
    why = _stale("the position", position.requested_at, now)
    if not why and isinstance(since, Unclear):
        why = since.why
    if why or isinstance(since, Unclear):
        return Finding(rule=Rule.AGE, answer=Answer.UNKNOWN, threshold=threshold, why=why)
    old = now - since.since
    seen = _hours(old) if since.exact else f"at least {_hours(old)}"
    if old < AGE_MS and not since.exact:
        why = "the venue's trades do not reach back to its opening"
        return Finding(rule=Rule.AGE, answer=Answer.UNKNOWN, threshold=threshold, seen=seen, why=why)
    answer = _answer(fires=old >= AGE_MS)
    return Finding(rule=Rule.AGE, answer=answer, threshold=threshold, seen=seen, at=position.requested_at)


def margin(account: Margin | None, now: int) -> Finding:
    """Of the whole account: it is the same for every position in it."""
    threshold = f">= {MARGIN}"
    why = "the account's margin has not been read" if account is None else _stale("it", account.at, now)
    if not why and account is not None and (account.balance <= 0 or account.maintenance < 0):
        why = f"the venue says a maintenance margin of {account.maintenance:f} and a balance of {account.balance:f}"
    if why or account is None:
        return Finding(rule=Rule.MARGIN, answer=Answer.UNKNOWN, threshold=threshold, why=why)
    return Finding(
        rule=Rule.MARGIN,
        answer=_answer(fires=account.maintenance >= MARGIN * account.balance),
        threshold=threshold,
        seen=f"{account.maintenance / account.balance:.4f}",
        at=account.at,
    )


def judge(
    position: Position, mark: Mark | None, since: Episode | Unclear, account: Margin | None, now: int
) -> tuple[Finding, ...]:
    """The three rules on one position; ``now`` in venue milliseconds."""
    return loss(position, mark, now), age(position, since, now), margin(account, now)


def episode_name(position: Position, since: Episode | Unclear) -> str | None:
    """What tells this episode from others for good; ``None`` while that is open.

    Where the venue shows no opening it is the entry price and the sign, which funding and reductions leave as they are.
    """
    if isinstance(since, Episode) and since.exact:
        name = str(since.since)
    elif isinstance(since, Unclear) and since.passing:
        return None
    else:
        name = f"{'long' if position.amount > 0 else 'short'} from {position.entry_price.normalize():f}"
    return digest("episode", position.symbol, position.position_side, name)


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that fired on a position, and which of the tries in its episode the close of it is."""

    position: Position
    rule: Rule
    seen: str
    threshold: str
    episode: str
    number: int

    @property
    def reason(self) -> str:
        return (
            f"baseline safety: {self.rule} {self.seen}, limit {self.threshold}, try {self.number} of {TRIES}"
        )


def intent_id_of(account: str, breach: Breach) -> str:
    """The name of one try: the same breach, seen by whoever, is the same close."""
    where = breach.position
    parts = (where.symbol, where.position_side, breach.episode, breach.rule, str(breach.number))
    return digest("safety", account, *parts)


def plan_id_of(intent_id: str, where: Position) -> str:
    return plan_id_for(intent_id, where.symbol, where.position_side, ACTION, ALL, None)


def decision_of(account: str, breach: Breach, cause: EntryRef, now: int, mode: Mode) -> Decision:
    """The full close of the position; there is no other decision. ``now`` is the log's time, ``cause`` the event of it."""
    where = breach.position
    intent_id = intent_id_of(account, breach)
    return Decision(
        intent_id=intent_id,
        plan_id=plan_id_of(intent_id, where),
        symbol=where.symbol,
        position_side=PositionSide(where.position_side),
        action=ACTION,
        fraction=ALL,
        quantity=None,
        origin_at=now,
        age_source=AgeSource.FIELD,
        expires_at=now + VALID_MS,
        position_amt=where.amount,
        position_update_time=where.update_time,
        mode=mode,
        reason=breach.reason,
        source="safety_controller",
        cause=(cause,),
        verdict=Verdict.CLOSE,
        approved=True,
        reason_codes=(f"safety_{breach.rule}",),
    )


def _answer(*, fires: bool) -> Answer:
    return Answer.FIRES if fires else Answer.HOLDS


def _stale(what: str, at: int, now: int) -> str:
    if now - at > FRESH_MS:
        return f"{what} was last read {(now - at) / 1000:.0f} s ago"
    if at - now > AHEAD_MS:
        return f"{what} bears a time {(at - now) / 1000:.0f} s ahead of the venue's clock"
    return ""


def _percent(share: Decimal) -> str:
    return f"{100 * share:.2f} %"


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / 3_600_000:.2f} h"
