"""What the executor last said of itself, in the log, for those who ask from another process."""

import msgspec

from sureclose.journal.keys import Keys
from sureclose.streams.encode import Producer
from sureclose.streams.wire import Wire


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """One executor under one lease. Times are the log's milliseconds; ``started_at`` is the process's own start.

    ``first_read_at`` is when the first entry of this lease was in hand, 0 before that.
    """

    producer: Producer
    worker: str
    epoch: int
    component: str = ""
    started_at: int
    leased_at: int
    first_read_at: int = 0


async def tell(wire: Wire, keys: Keys, pulse: Pulse) -> None:
    """Replace what is known of the executor; losing it loses nothing but the answer to a question."""
    await wire.execute_command(b"HSET", keys.pulse, "pulse", msgspec.json.encode(pulse))


async def ask(wire: Wire, keys: Keys) -> Pulse | None:
    """The last pulse, or ``None`` when no executor ever reported."""
    found = await wire.execute_command(b"HGET", keys.pulse, "pulse")
    return None if found is None else msgspec.json.decode(found, type=Pulse)
