"""Asking for a close: what every door does. The same checks, the same identity and the same answer for all of them."""

import asyncio
from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.actions import ALL, CLOSE, PARTIAL_CLOSE
from sureclose.domain.events import EntryRef, Intent
from sureclose.domain.planning import planned_id
from sureclose.domain.times import LONGEST_EXPIRY_MS, iso_ms
from sureclose.domain.words import AgeSource, PositionSide
from sureclose.journal import asking, lease
from sureclose.journal.asking import Record, Saying, Warrant, Word
from sureclose.operate.session import Session
from sureclose.services.authority.events import authority_event
from sureclose.streams.codec import NotAClose, decode
from sureclose.streams.encode import encode_intent
from sureclose.streams.fields import LARGEST_EXPONENT, Unreadable
from sureclose.streams.names import StreamName

VALID_MS: Final = 60_000
"""How long a wish is good for when it does not say."""
LONGEST_WARRANT_MS: Final = 600_000
"""A warrant is short-lived, however far ahead its intent expires."""
LEASE_PATIENCE_S: Final = 10.0
"""How long to wait for an executor: the old one's lease has to run out before a new one can take it."""


class NoExecutor(Exception):
    """No executor runs on this log, so nothing was published. Start `sureclose run`, then repeat the close."""


class Refused(ValueError):
    """The wish was not taken in, and nothing was published."""

    def __init__(self, reason: str, remedy: str, detail: str = "") -> None:
        self.reason = reason
        """One word: ``expired``, ``absurd``."""
        self.detail = detail or reason
        self.remedy = remedy
        super().__init__(f"{self.detail}; {remedy}")


class Conflict(ValueError):
    """Something else was asked for under this id already. Use another ``intent_id``, or ask for the same."""

    def __init__(self, intent_id: str, record: Record) -> None:
        self.record = record
        super().__init__(
            f"intent {intent_id} was asked for already, as {record.action} of {record.symbol} {record.position_side}; "
            "use another id, or ask for the same"
        )


class CloseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants closed. Without ``fraction`` and ``quantity`` it is all of the position.

    ``person``: whether it comes with a person's right, which is a warrant. ``door`` and ``actor`` say through what and by whom
    it came. ``expires_at`` is the log's milliseconds. ``action`` is one of the table's where it is not to be worked out.
    """

    intent_id: str
    symbol: str
    actor: str
    door: str
    person: bool
    reason: str
    position_side: PositionSide = PositionSide.BOTH
    fraction: Decimal | None = None
    quantity: Decimal | None = None
    expires_at: int | None = None
    action: str | None = None
    said: str = ""
    """A digest of the wording, where the door tells one from another (``Record.said``)."""


class Asked(msgspec.Struct, frozen=True):
    """A close that was asked for: now, or before under the same id."""

    intent_id: str
    word: Word
    record: Record

    @property
    def plan_id(self) -> str:
        return self.record.plan_id

    @property
    def entry_id(self) -> str:
        """The intent's entry."""
        return self.record.entry_id

    @property
    def fresh(self) -> bool:
        """Whether it is asked for only now."""
        return self.word is Word.ASKED


async def ask_to_close(session: Session, request: CloseRequest) -> Asked:
    """Publish the intent, with a person's warrant in the same step; asked for again it is the same close.

    Raises ``Refused`` for what nobody could execute, ``Conflict`` when something else was asked for under this id.
    """
    now = session.clock.now()
    return await publish(session, request, checked(session, request, now), now)


async def publish(session: Session, request: CloseRequest, intent: Intent, now: int) -> Asked:
    """Publish the intent that was ``checked`` just ``now``. Raises ``Conflict``."""
    assert intent.expires_at is not None
    plan_id = planned_id(intent)
    producer = session.wiring.producer
    record = Record(
        plan_id=plan_id,
        symbol=intent.symbol,
        position_side=str(intent.position_side),
        action=intent.action,
        at=now,
        expires_at=intent.expires_at,
        door=request.door,
        actor=request.actor,
        fraction=_text(intent.fraction),
        quantity=_text(intent.quantity),
        reason=intent.reason,
        said=request.said,
    )
    warrant = None
    if request.person:
        ms = min(intent.expires_at - now, LONGEST_WARRANT_MS)
        facts = {"intent_id": intent.intent_id, "plan_id": plan_id, "actor": request.actor}
        event = authority_event("WARRANT", facts | {"expires_at": str(now + ms)}, producer, now, session.mode)
        warrant = Warrant(ms, Saying(session.streams.full(StreamName.AUTHORITY_EVENTS), event))
    word, known = await asking.ask(
        session.wire,
        session.keys,
        intent.intent_id,
        record,
        Saying(_intents(session), encode_intent(intent, producer, now)),
        warrant,
    )
    if word is Word.OTHER:
        raise Conflict(intent.intent_id, known)
    return Asked(intent.intent_id, word, known)


def checked(session: Session, request: CloseRequest, now: int) -> Intent:
    """The intent as the pipeline will read it: what its codec refuses is refused here, for the same reason.

    Raises ``Refused``.
    """
    expires_at = now + VALID_MS if request.expires_at is None else request.expires_at
    if expires_at <= now:
        raise Refused(
            "expired",
            "ask with an expires_at that is ahead",
            f"expires_at is {iso_ms(expires_at)}, and it is {iso_ms(now)}",
        )
    if expires_at > now + LONGEST_EXPIRY_MS:
        raise Refused("absurd", "let it expire within 24 hours", "expires_at is more than a day ahead")
    if not request.intent_id:
        raise Refused("absurd", "name the wish, or leave the name out", "intent_id is empty")
    for amount in (request.fraction, request.quantity):
        if amount is not None and amount.is_finite() and abs(amount.adjusted()) > LARGEST_EXPONENT:
            raise Refused("absurd", "write an amount that a position can have", f"{amount} is no amount")
    fraction = ALL if request.fraction is None and request.quantity is None else request.fraction
    intent = Intent(
        intent_id=request.intent_id,
        symbol=request.symbol,
        position_side=request.position_side,
        action=request.action or (CLOSE if fraction == ALL and request.quantity is None else PARTIAL_CLOSE),
        fraction=fraction,
        quantity=request.quantity,
        origin_at=now,
        age_source=AgeSource.FIELD,
        expires_at=expires_at,
        mode=session.mode,
        reason=request.reason,
        source=f"human:{request.actor}" if request.person else f"{request.door}:{request.actor}",
    )
    fields = {
        name.encode(errors="backslashreplace"): value.encode(errors="backslashreplace")
        for name, value in encode_intent(intent, session.wiring.producer, now).items()
    }
    ref = EntryRef(_intents(session), f"{now}-0")
    decoded = decode(session.streams.intents, ref, fields, now_ms=now, rules=session.wiring.rules)
    match decoded:
        case Unreadable(reason=reason, remedy=remedy):
            raise Refused("absurd", remedy, reason)
        case NotAClose(reason=reason):
            raise Refused(
                str(reason), "ask for something that closes or reduces", f"{request.action} closes nothing"
            )
        case Intent():
            return decoded
    raise TypeError(f"there is a {type(decoded).__name__} where an intent belongs")


async def need_executor(session: Session) -> None:
    """Wait for somebody who executes; raises ``NoExecutor`` when there is nobody.

    The safety controller holds the lease for its own closes only: nobody else's are read by it.
    """
    give_up_at = session.monotonic() + LEASE_PATIENCE_S
    while True:
        held, last = (
            await lease.holder(session.wire, session.keys),
            await lease.last(session.wire, session.keys),
        )
        if held is not None and last is not None and held.owner == last.owner:
            return
        if session.monotonic() >= give_up_at:
            raise NoExecutor
        await asyncio.sleep(0.1)


async def open_side(session: Session, symbol: str) -> PositionSide:
    """The side of the symbol that is open, or the first of two: in hedge mode each is a position of its own."""
    held = (one.position_side for one in await session.venue.positions() if one.symbol == symbol)
    return next(held, PositionSide.BOTH)


def _intents(session: Session) -> str:
    return session.streams.full(session.streams.intents)


def _text(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f}"
