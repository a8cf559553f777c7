"""What the other path executes, as the path that does not execute keeps it: pending until the outcome is durable."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import structlog

from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.facts import Admitted
from sureclose.domain.planning import same_age, same_close, same_delivery
from sureclose.journal.record import ChainBroken
from sureclose.journal.states import BURNT, states
from sureclose.journal.store import Journal
from sureclose.streams.entry import Entry
from sureclose.streams.groups import is_read
from sureclose.streams.wire import Wire, id_key

log = structlog.get_logger()

_OVER: Final = frozenset({"DONE", "PARKED", BURNT})
"""The states in which a plan's id is used up, whichever of its entries it was made of."""


class Kept(msgspec.Struct, frozen=True):
    """One entry that waits; without a decision it is one that nobody can read."""

    entry: Entry
    decision: Decision | None


class Watcher:
    """Keeps entries until the path that executes is done with what they ask for. It never acts on one.

    An approved decision is done with when its plan has an outcome: a skip, which uses no id up, only if the decision that
    was skipped is this one or came later, or is as old and asks for the same. What can't be read is done with when the other path's group is: that one buries it,
    in one script with its acknowledgement, so that there is one letter; were it gone, whoever takes over does it.

    ``approvals`` are the streams that decisions are read from, ``other`` the other path's group on this one's stream.
    """

    def __init__(
        self,
        journal: Journal,
        wire: Wire,
        now: Callable[[], int],
        *,
        approvals: Iterable[str],
        other: str | None,
    ) -> None:
        self._journal = journal
        self._wire = wire
        self._now = now
        self._approvals = frozenset(approvals)
        self._other = other
        self._kept: dict[str, Kept] = {}

    @property
    def held(self) -> frozenset[str]:
        """The ids of the entries that wait."""
        return frozenset(self._kept)

    @property
    def size(self) -> int:
        return len(self._kept)

    def keep(self, entry: Entry, decision: Decision | None) -> None:
        """From now on it is waited for."""
        self._kept[entry.ref.entry_id] = Kept(entry, decision)

    async def done(self) -> list[Entry]:
        """Those whose outcome is durable by now. Raises ``RedisError``."""
        found = await states(self._wire, self._journal.keys, self._plans(), self._now())
        ended: list[Entry] = []
        for kept in tuple(self._kept.values()):
            decision = kept.decision
            if decision is None:
                over = await self._buried(kept.entry.ref)
            else:
                state = found.get(decision.plan_id, "")
                over = state in _OVER or (
                    state == "SKIPPED" and await self._skipped(kept.entry.ref, decision)
                )
            if over:
                ended.append(kept.entry)
        return ended

    def forget(self, entries: Sequence[Entry]) -> None:
        """They were acknowledged."""
        for entry in entries:
            self._kept.pop(entry.ref.entry_id, None)

    def _plans(self) -> list[str]:
        return list(dict.fromkeys(kept.decision.plan_id for kept in self._kept.values() if kept.decision))

    async def _buried(self, ref: EntryRef) -> bool:
        return self._other is not None and await is_read(self._wire, ref.stream, self._other, ref.entry_id)

    async def _skipped(self, ref: EntryRef, decision: Decision) -> bool:
        try:
            loaded = await self._journal.load(decision.plan_id)
        except ChainBroken as error:
            log.debug("outcome_not_believed", plan_id=decision.plan_id, error=str(error))
            return False  # who executes says so aloud, and a person has to look at it
        if loaded is None:
            return False
        admitted = [fact for fact in loaded.facts if isinstance(fact, Admitted)]
        if not admitted:
            return loaded.burnt is not None
        if any(same_delivery(one.entry, one.decision, ref, decision) for one in admitted):
            return True
        last = admitted[-1]
        if same_close(last.decision, decision) and same_age(last.decision, decision):
            return True
        judged = self._said_by(last.entry, last.decision)
        return any(
            stream in judged and id_key(judged[stream]) >= id_key(entry_id)
            for stream, entry_id in self._said_by(ref, decision).items()
        )

    def _said_by(self, ref: EntryRef, decision: Decision) -> dict[str, str]:
        """The entries in which a decision stood, by stream: one that was handed over has stood in two."""
        return {one.stream: one.entry_id for one in (*decision.cause, ref) if one.stream in self._approvals}
