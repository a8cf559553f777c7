"""The client for programs that are not asynchronous, or whose event loop is busy."""

import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Sequence
from datetime import datetime
from typing import Any, Self

from sureclose.client.aio import AsyncClient, new_key
from sureclose.client.close import AsyncClose, Close, CloseData
from sureclose.client.door import RETRIES_S
from sureclose.client.errors import CloseGoesOn
from sureclose.client.loop import Loop
from sureclose.client.wish import Amount, Side


class Client:
    """``AsyncClient``, each call waited for. It runs on an event loop in a thread of its own, and any thread may use it."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        retries: Sequence[float] = RETRIES_S,
        new_key: Callable[[], str] = new_key,
    ) -> None:
        self._client = AsyncClient(url, token, timeout=timeout, retries=retries, new_key=new_key)
        self._loop = Loop(self._client.disconnect)
        self._end = weakref.finalize(self, self._loop.stop)

    def __repr__(self) -> str:
        return repr(self._client).removeprefix("Async")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """Put connections and thread away. What was asked for goes on."""
        self._end()

    def close(
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
    ) -> Close:
        """``AsyncClient.close``."""
        asking = self._client.close(
            symbol,
            side=side,
            fraction=fraction,
            quantity=quantity,
            reason=reason,
            expires_at=expires_at,
            mode=mode,
            intent_id=intent_id,
            idempotency_key=idempotency_key,
            wait=wait,
        )
        return self._one(asking)

    def close_all(
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
    ) -> tuple[Close, ...]:
        """``AsyncClient.close_all``."""
        asking = self._client.close_all(
            side=side,
            symbols=symbols,
            fraction=fraction,
            reason=reason,
            expires_at=expires_at,
            mode=mode,
            idempotency_key=idempotency_key,
            wait=wait,
        )
        return tuple(Close.of(one, self) for one in self._loop.run(asking))

    def get(self, close_id: str, *, wait: float | None = None) -> Close:
        """``AsyncClient.get``."""
        return self._one(self._client.get(close_id, wait=wait))

    def wait(self, close: CloseData | str, timeout: float = 60.0) -> Close:
        """``AsyncClient.wait``."""
        return self._one(self._client.wait(close, timeout))

    def events(self, close_id: str) -> Generator[Close, None, None]:
        """``AsyncClient.events``."""
        following = self._client.events(close_id)
        try:
            while (close := self._loop.run(_next(following))) is not None:
                yield Close.of(close, self)
        finally:
            if not self._loop.has_ended:  # where it has, it has ended this too
                self._loop.run(_end(following))

    def _one(self, asking: Coroutine[Any, Any, AsyncClose]) -> Close:
        try:
            return Close.of(self._loop.run(asking), self)
        except CloseGoesOn as late:
            if late.close is not None:
                late.close = Close.of(late.close, self)
            raise


async def _next(following: AsyncGenerator[AsyncClose, None]) -> AsyncClose | None:
    return await anext(following, None)


async def _end(following: AsyncGenerator[AsyncClose, None]) -> None:
    await following.aclose()
