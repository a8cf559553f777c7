"""One close for each intent at a position: which plan of an intent was sent there.

A wish may come through several doors, spelled differently in each, and then it amounts to several plans. The gate gives
the intent, at one position, to the first of them that passes, and an outcome to the plan that it is of; the others are refused
from then on. An outcome that says SKIPPED gives it back, for nothing was executed.

Claims are kept as used-up ids are: in hashes small enough for the server to pack, of generations that go away by
themselves. The generation after is looked at too, so that a clock that is set back forgets none.
"""

import hashlib
from typing import Final

import msgspec

from sureclose.domain.close import Concluded
from sureclose.domain.times import SPOKEN_AHEAD_MS
from sureclose.domain.words import PositionSide
from sureclose.journal.keys import Keys
from sureclose.streams.wire import Wire

RETENTION_MS: Final = 2 * SPOKEN_AHEAD_MS
"""How long a claim is known at least, from the last time that its plan passed the gate.

An entry can be admitted for ``SPOKEN_AHEAD_MS`` behind its own id by its expiry; by ``max_age``, which is at most a day,
for twice that where it bears a time that lies ahead. So every entry that was there when the claim was made is over by
then, and so is each that was written later, while the one that made it could still have been admitted by its expiry.
"""

BUCKET_MS: Final = 2 * RETENTION_MS
"""How long a bucket stays after it was written to last: to the end of the next generation, at the least."""

_FIELD: Final = slice(2, 12)


class Claim(msgspec.Struct, frozen=True):
    """One intent at one position of the account: ``position_side`` is the venue's word for it, not the wish's."""

    intent_id: str
    symbol: str
    position_side: PositionSide

    def where(self, keys: Keys, at: int) -> "Place":
        """Where it is noted; ``at`` is the log's clock in milliseconds."""
        said = msgspec.json.encode((self.intent_id, self.symbol, self.position_side))
        digest = hashlib.sha256(said).digest()
        bucket, generation = digest.hex()[:3], at // RETENTION_MS
        buckets = tuple(keys.claims(generation + step, bucket) for step in (0, -1, 1))
        return Place(buckets, digest[_FIELD])


def claims_of(concluded: Concluded) -> tuple[Claim, ...]:
    """What this outcome decides on: the positions that were sent for, and the one that it was read on.

    So an intent that found its position flat closes no later one in another spelling.
    """
    progress, after = concluded.progress, concluded.ended.position_after
    read = () if after is None else (after.position_side,)
    decision = progress.decision
    sides = dict.fromkeys((*progress.sent_for, *read))
    return tuple(Claim(decision.intent_id, decision.symbol, side) for side in sides)


async def sent_as(
    wire: Wire, keys: Keys, intent_id: str, symbol: str, side: PositionSide, at: int
) -> str | None:
    """The plan by which an intent was sent. ``side`` is the wish's word, ``at`` the log's clock in milliseconds."""
    # The account's own word may be another: BOTH in one-way mode, a side in hedge mode.
    sides = tuple(PositionSide) if side is PositionSide.BOTH else (side, PositionSide.BOTH)
    for place in (Claim(intent_id, symbol, one).where(keys, at) for one in sides):
        for bucket in place.buckets:
            found: bytes | None = await wire.execute_command(b"HGET", bucket, place.field)
            if found is not None:
                return found.decode()
    return None


class Place(msgspec.Struct, frozen=True):
    """The buckets of this generation, of the one before and of the one after, and the field in each."""

    buckets: tuple[str, ...]
    field: bytes
