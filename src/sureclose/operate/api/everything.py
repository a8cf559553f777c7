"""What is done at ``/v1/closes:all``: a close of each open position, named after the key and the position."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from sureclose.domain.actions import canonical
from sureclose.domain.close_state import CloseState
from sureclose.domain.ids import digest
from sureclose.domain.market import Position
from sureclose.domain.words import PositionSide
from sureclose.journal import idempotency
from sureclose.operate.api.bodies import CloseAllAnswer, CloseAllBody, Side, read_body
from sureclose.operate.api.operations import KEY, Operation
from sureclose.operate.api.problems import Kind, Problem, later
from sureclose.operate.api.reading import document, idempotency_key, json_object
from sureclose.operate.api.tokens import Token
from sureclose.operate.api.wishes import (
    DOOR,
    Sender,
    ask,
    check_mode,
    check_wish,
    claim_key,
    kept,
    log_answers,
    request_of,
    said_of,
)
from sureclose.operate.closes import CloseView
from sureclose.operate.session import Session
from sureclose.services.http import TIMEOUT_S
from sureclose.services.settings_tokens import Scope
from sureclose.venue.errors import VenueError

_AT_ONCE: Final = 16
_AGAIN: Final = "repeat it with the same Idempotency-Key, which closes nothing twice"
_TIMEOUT_S: Final = 4 * TIMEOUT_S


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A position that is to be closed, as it is kept under the key."""

    symbol: str
    side: PositionSide


class Everything:
    """The handler."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ask(self, request: web.Request, token: Token) -> web.StreamResponse:
        sender = Sender(token, idempotency_key(request))
        fields = await json_object(request)
        async with kept(self._session, sender, fields):
            if sender.key is None:
                raise Problem(
                    Kind.KEY_NEEDED,
                    "send the header Idempotency-Key: a repeat of this is the same closes, whatever is open by then",
                )
            body = read_body(fields, CloseAllBody)
            check_mode(self._session, body)
            async with log_answers(f"the log did not answer, so it is not known what was taken in; {_AGAIN}"):
                held = await self._held(sender, body)
                views = await self._asked(sender, body, held)
        symbols = {one.symbol for one in held}
        missing = tuple(symbol for symbol in map(canonical, body.symbols or ()) if symbol not in symbols)
        return document(CloseAllAnswer(closes=tuple(views), not_open=missing), HTTPStatus.ACCEPTED)

    async def _held(self, sender: Sender, body: CloseAllBody) -> Sequence[Held]:
        """What was open when the first request came with this key: the same for each repeat."""
        assert sender.key_name is not None
        found = await idempotency.claimed(self._session.wire, self._session.keys, sender.key_name)
        if found is None or said_of(found) != body.said:
            check_wish(self._session, self._request(sender, body, Held("ALL", PositionSide.BOTH)))
            held = [
                Held(one.symbol, one.position_side) for one in await self._positions() if _wanted(one, body)
            ]
            found = f"{body.said} {msgspec.json.encode(held).decode()}"
        kept_as = await claim_key(self._session, sender, found)
        return msgspec.json.decode(kept_as.partition(" ")[2], type=list[Held])

    async def _positions(self) -> Sequence[Position]:
        try:
            return await self._session.venue.positions()
        except VenueError as error:
            raise later(
                Kind.VENUE_UNAVAILABLE, f"what is open could not be read, so nothing was asked for; {_AGAIN}"
            ) from error

    async def _asked(self, sender: Sender, body: CloseAllBody, held: Sequence[Held]) -> list[CloseView]:
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(position: Held) -> CloseView:
            async with room:
                request = self._request(sender, body, position)
                try:
                    return (await ask(self._session, request)).view
                except Problem as problem:
                    return _refused(request.intent_id, position, problem)

        return await asyncio.gather(*map(one, held))

    def _request(self, sender: Sender, body: CloseAllBody, position: Held) -> Any:
        assert sender.key is not None
        account = self._session.keys.account
        parts = (sender.token.name, sender.key, position.symbol, str(position.side))
        intent_id = digest(f"{DOOR}-all", account, *parts)
        return request_of(body, sender, intent_id, position.symbol, position_side=position.side)

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                method="POST",
                path="/v1/closes:all",
                name="askForCloseOfAll",
                summary="Ask for a close of each open position",
                description="Reads what is open at the venue, and asks for a close of each position that the filter lets "
                "through. A repeat with the same key is the same closes, whatever is open by then. In one-way mode `side` is "
                "the sign of the position.",
                handler=self.ask,
                scope=Scope.CLOSE_ALL,
                body=CloseAllBody,
                answer=CloseAllAnswer,
                status=HTTPStatus.ACCEPTED,
                parameters=(msgspec.structs.replace(KEY, required=True),),
                problems=(
                    Kind.KEY_NEEDED,
                    Kind.TOO_LARGE,
                    Kind.NOT_JSON,
                    Kind.KEY_REUSED,
                    Kind.INVALID,
                    Kind.REFUSED,
                    Kind.VENUE_UNAVAILABLE,
                ),
                timeout_s=_TIMEOUT_S,
            ),
        )


def _wanted(position: Position, body: CloseAllBody) -> bool:
    on_side = body.side is None or (position.amount > 0) == (body.side is Side.LONG)
    return on_side and (body.symbols is None or position.symbol in set(map(canonical, body.symbols)))


def _refused(intent_id: str, position: Held, problem: Problem) -> CloseView:
    """A repeat may come when the wish has expired; those that the first request asked for are told as they are."""
    return CloseView(
        id=intent_id,
        plan_id="",
        state=CloseState.REFUSED,
        final=True,
        symbol=position.symbol,
        position_side=str(position.side),
        reason=problem.facts.get("reason", str(problem.kind)),
        remedy=problem.facts.get("remedy", problem.detail),
    )
