"""What harvest knows of each open position across restarts: the book as it stands in the log, and the reads that move it on."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.harvest.episodes import Followed, follow, look_back_from, unchanged
from sureclose.domain.harvest.wishes import Kept, decode, encode, seen
from sureclose.domain.market import Position
from sureclose.domain.safety import Unclear
from sureclose.journal.harvest import HarvestBook, field_of
from sureclose.services.sight import WHOLE_MS, Account, look_back
from sureclose.venue.errors import VenueError
from sureclose.venue.port import Purpose

log = structlog.get_logger()

AGAIN_S: Final = 1.0
"""After trades that could not be read, or that do not fit the position yet."""


class Row(msgspec.Struct, frozen=True):
    """One field of the book. ``broken`` says why it can't be read; then nothing is decided, and nothing is overwritten."""

    raw: bytes = b""
    kept: Kept | None = None
    broken: str = ""


class Ledger:
    """Follows every position in a task of its own, so that trades which can't be read hold up nobody else's.

    ``monotonic`` gives seconds.
    """

    def __init__(self, book: HarvestBook, account: Account, monotonic: Callable[[], float]) -> None:
        self._book = book
        self._account = account
        self._monotonic = monotonic
        self._rows: dict[str, Row] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._why: dict[str, str] = {}
        self._due: dict[str, float] = {}

    async def refresh(self) -> None:
        """Read the book: another process may have written to it. Raises what the log raises."""
        found = await self._book.read()
        self._rows = {field: self._row(field, raw) for field, raw in found.items()}

    def _row(self, field: str, raw: bytes) -> Row:
        known = self._rows.get(field)
        return known if known is not None and known.raw == raw else _read(raw)

    @property
    def rows(self) -> Mapping[str, Row]:
        return self._rows

    def row(self, position: Position) -> Row:
        return self._rows.get(_field(position), Row())

    def doubt(self, position: Position) -> str:
        """Why its episode is not known as it is now; empty when it is."""
        row = self.row(position)
        if row.broken:
            return row.broken
        if row.kept is not None and unchanged(row.kept.followed, position):
            return ""
        return self._why.get(_field(position), "its trades have not been read yet")

    async def write(self, field: str, read: Row, new: Kept) -> bool:
        """Whether it is in the book now: not when it is not any more what was read. Raises what the log raises."""
        raw = encode(new)
        if not await self._book.keep(field, read.raw, raw):
            return False
        self.wrote(field, raw, new)
        return True

    def wrote(self, field: str, raw: bytes, new: Kept) -> None:
        """It stands in the book."""
        self._rows[field] = Row(raw, new)

    async def look(self, open_now: tuple[Position, ...]) -> None:
        """See to it that each is followed, and note which are gone. Raises what the log raises."""
        for field, task in list(self._following.items()):
            if task.done():
                del self._following[field]
                task.result()
        fields = {_field(position) for position in open_now}
        for field in self._why.keys() - fields:
            del self._why[field]
        for position in open_now:
            field = _field(position)
            wanted = self.doubt(position) and not self.row(position).broken and field not in self._following
            if wanted and self._monotonic() >= self._due.get(field, 0.0):
                self._following[field] = asyncio.create_task(self._follow(position), name=f"harvest {field}")
        for field, row in list(self._rows.items()):
            if field not in fields and row.kept is not None and row.kept.followed.is_open:
                gone = msgspec.structs.replace(row.kept.followed, amount=0 * row.kept.followed.amount)
                await self.write(field, row, msgspec.structs.replace(row.kept, followed=gone))

    async def followed(self) -> None:
        """Until all that is being followed now has been."""
        await asyncio.gather(*self._following.values())

    async def aclose(self) -> None:
        for task in self._following.values():
            task.cancel()
        await asyncio.gather(*self._following.values(), return_exceptions=True)

    async def _follow(self, position: Position) -> None:
        field, row = _field(position), self.row(position)
        before = None if row.kept is None else row.kept.followed
        try:
            found = await self._found(before, position)
            if isinstance(found, Followed):
                self._why.pop(field, None)
                await self.write(field, row, seen(row.kept, found))
                return
            why = "it is flat" if found is None else found.why
        except VenueError as error:
            why = f"its trades can't be read: {error}"
        except RedisError as error:
            why = f"the log does not answer: {error}"
        except Exception as error:
            # Whatever is wrong with this position's trades, no other one is to suffer from it (incident 25).
            why = f"{type(error).__name__}: {error}"
            if self._why.get(field) != why:
                log.exception("harvest_not_followed", position=field)
        self._why[field] = why
        self._due[field] = self._monotonic() + AGAIN_S
        log.debug("harvest_not_followed", position=field, why=why)

    async def _found(self, before: Followed | None, position: Position) -> Followed | Unclear | None:
        clock, since = self._account.clock, look_back_from(before)
        if since is None or clock.earliest() - since > WHOLE_MS:
            opening = await look_back(self._account, position)
            return follow(None, position, opening.trades, opening.since, clock.earliest())
        trades = await self._account.trades_since(position.symbol, since, Purpose.OBSERVE)
        return follow(before, position, trades, since, clock.earliest())


def _field(position: Position) -> str:
    return field_of(position.symbol, str(position.position_side))


def _read(raw: bytes) -> Row:
    try:
        return Row(raw, decode(raw))
    except ValueError as error:
        return Row(raw, None, f"harvest's book of it can't be read ({error}): another version wrote it")
