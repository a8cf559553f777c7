"""A bad line between one process and the log: it loses requests and replies, is slow, is cut, or falls silent."""

import asyncio
import random
from collections import Counter
from enum import StrEnum
from typing import Final

from tests.streams.lossy_proxy import Loss, LossyProxy

CHUNK: Final = 1 << 16


class Weather(StrEnum):
    """What the line does to each piece of traffic."""

    FAIR = "fair"
    """Hardly anything."""
    LOSSY = "lossy"
    """Connections end before a request is passed on, or after it and before the reply."""
    SLOW = "slow"
    """Pieces wait, in both directions."""
    STALE = "stale"
    """Requests wait for seconds, and are passed on when nobody waits for their replies any more."""
    MUTE = "mute"
    """Connections stay and are silent from now on, also those that are made now."""


class Fate(StrEnum):
    """What became of one piece that did not come through as it should."""

    REQUEST_LOST = "request lost"
    REPLY_LOST = "reply lost"
    LATE = "late"
    STALE = "stale"
    SILENT = "silent"


_RATES: Final = {
    Weather.FAIR: {Fate.REQUEST_LOST: 0.0003, Fate.REPLY_LOST: 0.0003, Fate.LATE: 0.001},
    Weather.LOSSY: {Fate.REQUEST_LOST: 0.03, Fate.REPLY_LOST: 0.03, Fate.LATE: 0.02},
    Weather.SLOW: {Fate.LATE: 0.3},
    Weather.STALE: {Fate.STALE: 0.1},
    Weather.MUTE: {Fate.SILENT: 1.0},
}
"""How likely each fate is, for each piece."""
_DELAYS_S: Final = {Fate.LATE: (0.001, 0.25), Fate.STALE: (0.8, 4.0)}
"""The patience of a client of ours is one second."""


class Link(LossyProxy):
    """The line of one replica. The log may move to another port when it starts again."""

    def __init__(self, tcp_url: str, chance: random.Random) -> None:
        super().__init__(tcp_url)
        self._chance = chance
        self._weather = Weather.FAIR
        self._open: set[asyncio.StreamWriter] = set()
        self.still = False
        """No mischief at all any more."""
        self.fates: Counter[Fate] = Counter()

    def moved(self, tcp_url: str) -> None:
        """The log is there now."""
        self._upstream_port = LossyProxy(tcp_url)._upstream_port

    def turns(self, weather: Weather) -> None:
        self._weather = weather

    def cut(self) -> None:
        """Every connection ends, whatever is on its way."""
        for writer in self._open:
            writer.transport.abort()

    def calm(self) -> None:
        """A good line from now on; what fell silent before is cut."""
        self.still = True
        self.cut()

    async def _send_up(
        self, reader: asyncio.StreamReader, up_writer: asyncio.StreamWriter, request: bytearray
    ) -> None:
        silent = False
        try:
            while data := await self._read(reader):
                fate = await self._meets(Fate.REQUEST_LOST, Fate.STALE, Fate.LATE, Fate.SILENT)
                if fate is Fate.REQUEST_LOST:
                    break
                # After one lost piece the rest of a connection would make no sense.
                silent = silent or fate is Fate.SILENT
                if not silent and not up_writer.transport.is_closing():
                    up_writer.write(data)
        finally:
            up_writer.close()

    async def _send_down(
        self, up_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytearray
    ) -> Loss | None:
        self._open.add(writer)
        silent = False
        try:
            while data := await self._read(up_reader):
                fate = await self._meets(Fate.REPLY_LOST, Fate.LATE, Fate.SILENT)
                if fate is Fate.REPLY_LOST:
                    break
                silent = silent or fate is Fate.SILENT
                if not silent and not writer.transport.is_closing():
                    writer.write(data)
        finally:
            self._open.discard(writer)
        return None

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(CHUNK)
        except ConnectionError:
            return b""

    async def _meets(self, *possible: Fate) -> Fate | None:
        """What happens to the next piece, of what can happen in its direction."""
        if self.still:
            return None
        for fate, rate in _RATES[self._weather].items():
            if fate in possible and self._chance.random() < rate:
                self.fates[fate] += 1
                if fate in _DELAYS_S:
                    await asyncio.sleep(self._chance.uniform(*_DELAYS_S[fate]))
                return fate
        return None
