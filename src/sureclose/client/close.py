"""One close, as it was when it was last looked at."""

from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

import msgspec

from sureclose.client.states import CloseState

if TYPE_CHECKING:
    from sureclose.client.aio import AsyncClient
    from sureclose.client.sync import Client


@dataclass(frozen=True, kw_only=True)
class CloseData:
    """What is known of a close. ``None`` and empty is what is not known yet.

    Quantities are in base units; positions are signed. Times are milliseconds since 1970, by the clock of the log.
    """

    id: str
    plan_id: str
    state: CloseState
    final: bool
    """Nothing follows by itself."""
    symbol: str = ""
    position_side: str = ""
    fraction: Decimal | None = None
    quantity: Decimal | None = None
    outcome: str = ""
    reason: str = ""
    """Why it did not end as asked for."""
    threshold: str = ""
    seen: str = ""
    remedy: str = ""
    code: int | None = None
    """The venue's, where it refused."""
    executed: bool = False
    """Whether the venue's fills and position say that an order did it."""
    filled_qty: Decimal | None = None
    avg_price: Decimal | None = None
    position_before: Decimal | None = None
    position_after: Decimal | None = None
    order_ids: tuple[int, ...] = ()
    client_order_ids: tuple[str, ...] = ()
    evidence: str = ""
    """The hash of the close's last record in the journal."""
    requested_at: int = 0
    expires_at: int = 0
    updated_at: int = 0
    warranted: bool = False
    """Whether it has a person's warrant."""

    @property
    def done(self) -> bool:
        """Confirmed by the venue: flat, or reduced by as much as was asked for. All else is not."""
        return self.state is CloseState.FLAT or (self.state is CloseState.REDUCED and not self.reason)


def read_close(body: Mapping[str, Any]) -> CloseData:
    """A close as the API writes it, where empty means not known. Raises ``msgspec.ValidationError``."""
    known = {name: value for name, value in body.items() if value is not None and value != ""}
    return msgspec.convert(known, CloseData)


def _all_of(data: CloseData) -> dict[str, Any]:
    return {one.name: getattr(data, one.name) for one in fields(CloseData)}


@dataclass(frozen=True, kw_only=True)
class AsyncClose(CloseData):
    """A close, and the client that can look at it again."""

    _client: "AsyncClient" = field(repr=False, compare=False)

    @classmethod
    def of(cls, data: CloseData, client: "AsyncClient") -> Self:
        return cls(**_all_of(data), _client=client)

    async def refresh(self) -> "AsyncClose":
        """How it stands now."""
        return await self._client.get(self.id)

    async def wait(self, timeout: float = 60.0) -> "AsyncClose":  # noqa: ASYNC109 - the close goes on, so it is no cancellation
        """The close with its outcome; raises ``CloseGoesOn`` when there is none in so many seconds."""
        return await self._client.wait(self, timeout)

    def events(self) -> AsyncGenerator["AsyncClose", None]:
        """The close as it is, and again in each later state, until nothing follows."""
        return self._client.events(self.id)


@dataclass(frozen=True, kw_only=True)
class Close(CloseData):
    """A close, and the client that can look at it again."""

    _client: "Client" = field(repr=False, compare=False)

    @classmethod
    def of(cls, data: CloseData, client: "Client") -> Self:
        return cls(**_all_of(data), _client=client)

    def refresh(self) -> "Close":
        """How it stands now."""
        return self._client.get(self.id)

    def wait(self, timeout: float = 60.0) -> "Close":
        """The close with its outcome; raises ``CloseGoesOn`` when there is none in so many seconds."""
        return self._client.wait(self, timeout)

    def events(self) -> Generator["Close", None, None]:
        """The close as it is, and again in each later state, until nothing follows."""
        return self._client.events(self.id)
