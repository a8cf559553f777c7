"""The client for programs that are asynchronous."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self
from urllib.parse import quote

import msgspec

from sureclose.client.address import Address
from sureclose.client.close import AsyncClose, CloseData, read_close
from sureclose.client.door import RETRIES_S, Door, Request, read_document
from sureclose.client.errors import BadAnswer, CloseGoesOn, Unavailable
from sureclose.client.problem import Problem
from sureclose.client.states import CloseState
from sureclose.client.wish import Amount, Side, all_wish, one_wish, said_of_all

_POLL_S: Final = 20.0
"""How long one answer is waited for: proxies end what takes a minute."""
_BREATH_S: Final = 0.05


def new_key() -> str:
    """A name for one call, so that its tries are one wish."""
    return secrets.token_hex(16)


class AsyncClient:
    """Asks a running Sureclose to close, and follows what becomes of it.

    ``url`` and ``token`` come from SURECLOSE_URL and SURECLOSE_TOKEN where they are not given. Every call is one wish however often
    it has to be tried: its key is made before the first try. ``timeout`` is for one answer, ``retries`` are the pauses between
    the tries, both in seconds. One event loop, until ``disconnect``, or the end of ``async with``.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        retries: Sequence[float] = RETRIES_S,
        new_key: Callable[[], str] = new_key,
    ) -> None:
        self._address = Address.of(url, token)
        self._door = Door(self._address, timeout, retries)
        self._new_key = new_key

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self._address.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def disconnect(self) -> None:
        """Put the connections away. What was asked for goes on."""
        await self._door.disconnect()

    async def close(
        self,
        symbol: str,
        *,
        side: Side | str | None = None,
        fraction: Amount | None = None,
        quantity: Amount | None = None,
        reason: str = "",
        expires_at: datetime | None = None,
        mode: str | None = None,
        intent_id: str | None = None,
        idempotency_key: str | None = None,
        wait: float | None = None,
    ) -> AsyncClose:
        """Ask to close a position, or that fraction or at most that quantity of it; returns when it is in the log.

        The same ``intent_id`` or ``idempotency_key`` again is the same close. ``wait`` is as ``AsyncClose.wait``.
        """
        common = said_of_all(fraction=fraction, reason=reason, expires_at=expires_at, mode=mode)
        body = one_wish(symbol, side=side, quantity=quantity, intent_id=intent_id, common=common)
        key = self._new_key() if idempotency_key is None and intent_id is None else idempotency_key
        request = Request(
            method="POST",
            path="/v1/closes",
            body=msgspec.json.encode(body),
            idempotency_key=key,
            intent_id=intent_id,
        )
        asked = self._close(await self._door.ask(request))
        return asked if wait is None else await self.wait(asked, wait)

    async def close_all(
        self,
        *,
        side: Side | str | None = None,
        symbols: Iterable[str] | None = None,
        fraction: Amount | None = None,
        reason: str = "",
        expires_at: datetime | None = None,
        mode: str | None = None,
        idempotency_key: str | None = None,
        wait: float | None = None,
    ) -> tuple[AsyncClose, ...]:
        """Ask to close every open position, or those on that side and in those symbols; a close for each.

        It needs a token with the scope ``close_all``. With ``wait`` each is given so many seconds; look at ``done`` of each.
        """
        common = said_of_all(fraction=fraction, reason=reason, expires_at=expires_at, mode=mode)
        request = Request(
            method="POST",
            path="/v1/closes:all",
            body=msgspec.json.encode(all_wish(side=side, symbols=symbols, common=common)),
            idempotency_key=self._new_key() if idempotency_key is None else idempotency_key,
        )
        body = await self._door.ask(request)
        asked = [self._close(one) for one in body.get("closes", ())]
        if wait is not None:
            asked = await asyncio.gather(*(self._within(one, wait) for one in asked))
        return tuple(asked)

    async def _within(self, close: AsyncClose, seconds: float) -> AsyncClose:
        """As far as it is by then."""
        try:
            return await self.wait(close, seconds)
        except CloseGoesOn as late:
            return late.close if isinstance(late.close, AsyncClose) else close

    async def get(self, close_id: str, *, wait: float | None = None) -> AsyncClose:
        """How a close stands: by its id, which is its intent's. With ``wait`` the answer may take so long for an outcome to come."""
        if not close_id:
            raise ValueError("a close has an id")
        query = "" if wait is None else f"wait={max(0, round(wait * 1_000))}ms"
        request = Request(method="GET", path=_path(close_id), query=query, patience_s=wait or 0.0)
        return self._close(await self._door.ask(request))

    async def wait(self, close: CloseData | str, timeout: float = 60.0) -> AsyncClose:  # noqa: ASYNC109 - it ends no close
        """The close with its outcome; raises ``CloseGoesOn`` when there is none in so many seconds.

        A server that is away meanwhile is waited for: what was asked for is in the log.
        """
        close_id, last = (close, None) if isinstance(close, str) else (close.id, close)
        now = asyncio.get_running_loop().time
        give_up_at = now() + timeout
        try:
            async with asyncio.timeout(timeout):
                while True:
                    with contextlib.suppress(Unavailable):
                        last = await self.get(close_id, wait=min(give_up_at - now(), _POLL_S))
                        if last.final:
                            return last
                    await asyncio.sleep(_BREATH_S)
        except TimeoutError:
            state = "nobody could tell how far it is" if last is None else f"it is {last.state}"
            raise CloseGoesOn(
                f"no outcome of close {close_id} within {timeout:g} s: {state}, and it goes on; ask again by its id",
                last,
            ) from None

    async def events(self, close_id: str) -> AsyncGenerator[AsyncClose, None]:
        """The close as it is, and again in each later state, until nothing follows."""
        last: CloseState | None = None
        async for data in self._door.stream(Request(method="GET", path=f"{_path(close_id)}/events")):
            close = self._close(read_document(data))
            if close.state is not last:
                last = close.state
                yield close
            if close.final:
                return

    def _close(self, body: Mapping[str, Any]) -> AsyncClose:
        try:
            return AsyncClose.of(read_close(body), self)
        except msgspec.ValidationError as error:
            raise BadAnswer(Problem(title="Bad answer", detail=f"this is no close: {error}")) from error


def _path(close_id: str) -> str:
    return f"/v1/closes/{quote(close_id, safe='')}"
