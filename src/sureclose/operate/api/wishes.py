"""From a request to a close that is asked for: its name, its key, its checks, and a record of why it was refused."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.ids import digest
from sureclose.domain.times import TimeFormatError, parse_time
from sureclose.journal import idempotency
from sureclose.journal.asking import asked as known_wish
from sureclose.journal.refusals import Refusal, record_refusal
from sureclose.operate.api.bodies import AnyBody, CloseBody
from sureclose.operate.api.problems import Kind, Problem, later
from sureclose.operate.api.tokens import Token
from sureclose.operate.asking import CloseRequest, Conflict, Refused, checked, publish
from sureclose.operate.closes import CloseView, look, received
from sureclose.operate.session import Session
from sureclose.streams.fields import recordable

log = structlog.get_logger()

DOOR: Final = "http"
_NO_ADDRESS: Final = frozenset({".", ".."})
"""Clients take them out of an address before they ask, escaped or not."""
_RECORDED: Final = {
    Kind.KEY_NEEDED: "key_needed",
    Kind.CONFLICT: "conflict",
    Kind.KEY_REUSED: "key_reused",
    Kind.INVALID: "invalid",
    Kind.REFUSED: "absurd",
}
"""Problems of a wish, which are kept with their reason; those of a request that is none are not."""


class Answer(msgspec.Struct, frozen=True):
    """A close that was asked for, and whether by this request."""

    view: CloseView
    fresh: bool


class Sender(msgspec.Struct, frozen=True):
    """Who asks, and the Idempotency-Key that it came with. A key belongs to its token: others' keys are others'."""

    token: Token
    key: str | None

    @property
    def key_name(self) -> str | None:
        """What the key is called in the log, where it does not stand itself: it may be anything."""
        return None if self.key is None else digest("idempotency", self.token.name, self.key)


def intent_of(session: Session, sender: Sender, body: CloseBody) -> str:
    """The wish's name: its own, or its key's, or one by chance of a full close, which may well be asked for twice.

    Raises ``Problem`` where a repeat of it would close more.
    """
    if body.intent_id is not None:
        if not body.intent_id.isprintable() or body.intent_id != body.intent_id.strip():
            raise _refused(
                "intent_id has characters that can't be printed, or spaces around it", "name it plainly"
            )
        if body.intent_id in _NO_ADDRESS:
            raise _refused("intent_id is dots alone, which no address can end with", "name it otherwise")
        return body.intent_id
    if sender.key is not None:
        return digest(DOOR, session.keys.account, sender.token.name, sender.key)
    if body.partial:
        raise Problem(
            Kind.KEY_NEEDED,
            "a repeat of a partial close would close twice: send the header Idempotency-Key, or intent_id in the body",
        )
    return f"{DOOR}-{secrets.token_hex(12)}"


def request_of(body: AnyBody, sender: Sender, intent_id: str, symbol: str, **more: Any) -> CloseRequest:
    """What is asked of the path. Raises ``Problem`` for a time that is none."""
    return CloseRequest(
        intent_id=intent_id,
        symbol=symbol,
        fraction=body.fraction,
        reason=body.reason,
        expires_at=expiry(body),
        actor=sender.token.name,
        person=sender.token.person,
        door=DOOR,
        said=body.said,
        **more,
    )


def expiry(body: AnyBody) -> int | None:
    """Until when, in milliseconds. Raises ``Problem`` for what is no time."""
    if body.expires_at is None:
        return None
    try:
        return parse_time(str(body.expires_at))
    except TimeFormatError as error:
        raise _refused(
            f"expires_at: {error}", "write ISO 8601 in UTC, or milliseconds since the epoch"
        ) from None


def check_mode(session: Session, body: AnyBody) -> None:
    """Raises ``Problem`` for what was decided for another environment."""
    if body.mode is not None and body.mode is not session.mode:
        raise Problem(
            Kind.REFUSED,
            f"it was decided for {body.mode}, and this is {session.mode}",
            reason="other_mode",
            remedy="send it to the deployment that it was decided for",
            threshold=str(session.mode),
            seen=str(body.mode),
        )


async def take_in(session: Session, sender: Sender, body: CloseBody) -> Answer:
    """Ask for the close; asked for again, it is the same one, even when it has expired since. Raises ``Problem``."""
    check_mode(session, body)
    request = request_of(
        body,
        sender,
        intent_of(session, sender, body),
        body.symbol,
        position_side=body.position_side,
        quantity=body.quantity,
    )
    async with log_answers(_REPEAT):
        return await ask(session, request, lambda: claim_key(session, sender, body.said))


async def ask(
    session: Session, request: CloseRequest, claim: Callable[[], Awaitable[object]] | None = None
) -> Answer:
    """Ask, once ``claim`` has made a key the request's, and tell how far it is. Raises ``Problem``, ``RedisError``."""
    now = session.clock.now()
    try:
        intent = checked(session, request, now)
    except Refused as error:
        return await _asked_before(session, request, error)
    if claim is not None:
        await claim()
    try:
        asked = await publish(session, request, intent, now)
    except Conflict as error:
        raise Problem(Kind.CONFLICT, str(error), intent_id=request.intent_id) from None
    if asked.fresh:
        return Answer(received(asked.intent_id, asked.record), fresh=True)
    view = await look(session, asked.intent_id)
    assert view is not None
    return Answer(view, fresh=False)


def check_wish(session: Session, request: CloseRequest) -> None:
    """Raises ``Problem`` for what nobody could execute."""
    try:
        checked(session, request, session.clock.now())
    except Refused as error:
        raise _refused(error.detail, error.remedy, error.reason) from None


async def claim_key(session: Session, sender: Sender, request: str) -> str:
    """Make the key this request's, which is what it says; what stands under it. Raises ``Problem``, ``RedisError``."""
    if sender.key_name is None:
        return request
    found = await idempotency.claim(session.wire, session.keys, sender.key_name, request)
    if said_of(found) != said_of(request):
        raise Problem(
            Kind.KEY_REUSED,
            "another request came with this Idempotency-Key; take a new key for each close, and the same only for a repeat",
        )
    return found


def said_of(request: str) -> str:
    """The digest of the body, which is what a request under a key begins with."""
    return request.split(" ", 1)[0]


async def _asked_before(session: Session, request: CloseRequest, error: Refused) -> Answer:
    """What is refused now may have been asked for in the same words while it was not."""
    record = await known_wish(session.wire, session.keys, request.intent_id)
    if record is not None and record.said == request.said:
        view = await look(session, request.intent_id)
        assert view is not None
        return Answer(view, fresh=False)
    raise _refused(error.detail, error.remedy, error.reason) from None


def _refused(detail: str, remedy: str, reason: str = "absurd") -> Problem:
    return Problem(Kind.REFUSED, f"{detail}; {remedy}", reason=reason, remedy=remedy)


_REPEAT: Final = (
    "the log did not answer, so it is not known whether the wish was taken in; repeat it with the same Idempotency-Key or "
    "intent_id, which closes nothing twice"
)


@asynccontextmanager
async def log_answers(detail: str) -> AsyncIterator[None]:
    """Where the log does not answer nothing is known, and nothing else is said."""
    try:
        yield
    except (RedisError, OSError) as error:
        log.warning("http_log_unavailable", error=f"{type(error).__name__}: {error}")
        raise later(Kind.LOG_UNAVAILABLE, detail) from error


@asynccontextmanager
async def kept(session: Session, sender: Sender, fields: Mapping[str, Any]) -> AsyncIterator[None]:
    """A wish that is refused in here is recorded with its reason; the answer names it, so that it can be traced."""
    try:
        yield
    except Problem as problem:
        if problem.kind in _RECORDED:
            refusal = _refusal(session, sender, fields, problem)
            async with log_answers("the wish is refused, but the log did not take that down"):
                await record_refusal(session.wire, session.keys, refusal)
            if refusal.intent_id:
                problem.facts["intent_id"] = refusal.intent_id
        raise


def _refusal(session: Session, sender: Sender, fields: Mapping[str, Any], problem: Problem) -> Refusal:
    named = _text(fields, "intent_id")
    if not named and sender.key is not None:
        named = digest(DOOR, session.keys.account, sender.token.name, sender.key)
    remedy = problem.facts.get("remedy", "")
    return Refusal(
        where=DOOR,
        reason=problem.facts.get("reason", _RECORDED.get(problem.kind, "")),
        at=session.clock.now(),
        threshold=problem.facts.get("threshold", ""),
        seen=problem.facts.get("seen", "") or recordable(problem.detail.removesuffix(f"; {remedy}")),
        remedy=remedy,
        actor=sender.token.name,
        intent_id=named,
        symbol=_text(fields, "symbol"),
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    found = fields.get(name)
    return recordable(found)[:200] if isinstance(found, str) else ""
