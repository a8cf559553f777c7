"""From the log to a segment: which closes go, and the one script that lets them go when their file is safe."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from sureclose.domain.facts import Admitted, Ended, Resolved, Sending
from sureclose.domain.outcome import OutcomeKind
from sureclose.journal import scripts
from sureclose.journal.anchors import Anchor, Anchored, last_anchor
from sureclose.journal.burnt import BUCKET_MS, Burnt, asked_for, order_shelf, plan_shelf
from sureclose.journal.checking.stored import Stored
from sureclose.journal.fence import Fence
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.recall import Recalled, recall
from sureclose.journal.record import Body, ChainBroken, verify
from sureclose.journal.segment import Written
from sureclose.streams.wire import Wire

log = structlog.get_logger()

YOUNGEST_MS: Final = 10_000
"""No close leaves the log sooner, whatever waits: whoever lost the answer of its outcome's script looks it up there."""
_AT_ONCE: Final = 8
PATIENT_TIMES: Final = 4
"""So many times what is kept may wait in the log while closes are under way: 4,000 by default, of 5.5 KB each."""

_archive = scripts.load("archive")


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """How many finished closes stay in the log and how long, and how many make a segment."""

    closes: int
    ms: int
    segment: int


class Leaving(msgspec.Struct, frozen=True):
    """A finished close as the log has it, verified, with what the script needs to know of it."""

    stored: Stored
    burnt: tuple[OutcomeKind, bytes] | None
    """How it ended and what was asked for, when that uses its id up."""
    orders: tuple[str, ...]
    """The client order ids of its attempts."""


class NotAnchored(Exception):
    """The log has moved on, so the segment is not anchored and nothing was let go; the next round reads again."""


class Archive:
    """The finished closes of one account. ``wall`` gives the log's milliseconds.

    ``fence`` is what the process knows of the log: by default what this archive has seen of it.
    """

    def __init__(
        self,
        wire: Wire,
        keys: Keys,
        wall: Callable[[], int],
        keeping: Keeping,
        *,
        host: str,
        folder: Path,
        fence: Fence | None = None,
    ) -> None:
        self._wire = wire
        self._keys = keys
        self._wall = wall
        self._keeping = keeping
        self._host = host
        self._fence = Fence() if fence is None else fence
        self.folder = folder
        self._broken: set[str] = set()

    async def due(self, *, patient: bool = False) -> list[Leaving]:
        """The closes of the next segment, oldest first; none while those that wait are few and young.

        Who is ``patient`` leaves them alone for as long as there is room for them: log and processors have better to do.
        """
        found: list[tuple[str, Recalled]] = []
        plans = await self._due_plans(patient=patient)
        for first in range(0, len(plans), _AT_ONCE):
            some = plans[first : first + _AT_ONCE]
            recalled = await asyncio.gather(
                *(recall(self._wire, self._keys, plan_id, self._wall()) for plan_id in some)
            )
            for plan_id, one in zip(some, recalled, strict=True):
                if isinstance(one, Recalled) and one.state == "OPEN":
                    continue  # delivered again since it was listed
                if isinstance(one, Recalled):
                    found.append((plan_id, one))
                else:
                    self._leave(plan_id, "its close is not in the log")
        return await asyncio.to_thread(lambda: list(self._checked(found)))

    async def _due_plans(self, *, patient: bool) -> list[str]:
        """More than are kept go as soon as they make a segment; one that is too old takes with it what is half as old."""
        keys, now, keeping = self._keys, self._wall(), self._keeping
        young = now - min(keeping.ms, YOUNGEST_MS)
        waiting: int = await self._wire.execute_command(b"ZCOUNT", keys.finished, b"-inf", young)
        surplus = waiting - keeping.closes - len(self._broken)
        if patient and waiting < PATIENT_TIMES * keeping.closes:
            return []
        most = keeping.segment + len(self._broken)
        if surplus >= keeping.segment:
            old = young
        elif await self._wire.execute_command(b"ZCOUNT", keys.finished, b"-inf", now - keeping.ms) > len(
            self._broken
        ):
            old = now - keeping.ms // 2
        else:
            return []
        found: list[bytes] = await self._wire.execute_command(
            b"ZRANGEBYSCORE", keys.finished, b"-inf", old, b"LIMIT", 0, most
        )
        plans = (plan.decode() for plan in found)
        return [plan for plan in plans if plan not in self._broken][: keeping.segment]

    def _checked(self, found: Iterable[tuple[str, Recalled]]) -> Iterator[Leaving]:
        for plan_id, one in found:
            try:
                yield _checked(plan_id, self._keys.account, one)
            except (ChainBroken, msgspec.DecodeError) as error:
                self._leave(plan_id, str(error))

    def _leave(self, plan_id: str, why: str) -> None:
        """It stays where it is, for a person to look at; ``verify`` names it, and the others go on."""
        self._broken.add(plan_id)
        log.critical("close_not_archived", plan_id=plan_id, why=why)

    async def next_place(self) -> tuple[int, str]:
        """The number of the next segment, and the hash of the anchor before it."""
        last = await last_anchor(self._wire, self._keys)
        return (1, "") if last is None else (last.read().number + 1, last.hash)

    async def anchor(
        self, lease: Lease, written: Written, place: tuple[int, str], closes: Iterable[Leaving]
    ) -> None:
        """Anchor the segment and let its closes go, all or nothing; raises ``NotAnchored``."""
        number, previous = place
        keys, now = self._keys, self._wall()
        anchored = Anchored.of(
            Anchor(
                account=keys.account,
                number=number,
                previous=previous,
                sha256=written.sha256,
                size=written.size,
                closes=written.closes,
                records=written.records,
                host=self._host,
                folder=str(self.folder),
                worker=lease.owner,
                epoch=lease.epoch,
                at=now,
            )
        )
        names = [keys.lease, keys.journal, keys.finished, keys.anchors, keys.log]
        args: list[bytes | str | int] = [lease.owner, lease.epoch, previous, number]
        args += [anchored.body, anchored.hash, BUCKET_MS, written.closes]
        for leaving in closes:
            plan_id, shelf = leaving.stored.plan_id, plan_shelf(keys, leaving.stored.plan_id, now)
            left = b"" if leaving.burnt is None else Burnt(*leaving.burnt, number).pack()
            orders = [(keys.order(id_), order_shelf(keys, id_, now)) for id_ in leaving.orders]
            names += [keys.close(plan_id), shelf.now]
            names += (name for order, its in orders for name in (order, its.now))
            args += [plan_id, str(leaving.stored.head), str(leaving.stored.state), shelf.field, left]
            args += [len(orders), *(its.field for _, its in orders)]
        reply: Any = await _archive.call(self._wire, names, [*args, self._fence.token])
        said, plan, *count = reply
        if said != b"OK":
            raise NotAnchored(f"{said.decode()} {plan.decode()}".strip())
        self._fence.acknowledged(count[0])


def _checked(plan_id: str, account: str, found: Recalled) -> Leaving:
    """Raises ``ChainBroken`` when the records are not those of a finished close, whole and in order."""
    head, bodies = verify(record for _, record in found.records)
    if head.hash != found.head:
        raise ChainBroken(f"the records of plan {plan_id} end at {head.hash} and should end at {found.head}")
    if any((body.account, body.plan_id) != (account, plan_id) for body in bodies):
        raise ChainBroken(f"the records of plan {plan_id} are those of another close")
    stored = Stored(plan_id=plan_id, head=found.head, state=found.state, records=found.records)
    orders = tuple(body.fact.client_order_id for body in bodies if isinstance(body.fact, Sending))
    return Leaving(stored, _burnt(plan_id, bodies), orders)


def _burnt(plan_id: str, bodies: list[Body]) -> tuple[OutcomeKind, bytes] | None:
    last = bodies[-1].fact
    if not isinstance(last, Ended | Resolved):
        raise ChainBroken(f"plan {plan_id} has no outcome")
    if last.outcome.kind is OutcomeKind.SKIPPED:
        return None
    decisions = (body.fact.decision for body in reversed(bodies) if isinstance(body.fact, Admitted))
    decision = next(decisions, None)
    if decision is None:
        raise ChainBroken(f"plan {plan_id} was never admitted")
    return last.outcome.kind, asked_for(decision)
