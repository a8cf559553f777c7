"""The log of the model: each script is judged by the very model that ``tests/journal`` compares with the scripts themselves."""

from typing import Final

from sureclose.domain.facts import Ended
from sureclose.journal.lease import Lease
from tests.journal.test_gate_model import Close as CloseRecord
from tests.journal.test_gate_model import Model
from tests.model.mutants import Mutant
from tests.model.terms import FACTS
from tests.model.world import NAMES, PLANS, Close, Closing, Log, Process, World

OK = "OK"
_WISH: Final = "wish"
"""The one intent of all closes, where they have one."""


def scripts(log: Log) -> Model:
    """The log as the model of the scripts has it."""
    return Model(
        holder=log.holder,
        epoch=log.epoch,
        frozen=log.frozen,
        flight=log.flight,
        claims={_WISH: log.claim} if log.claim else {},
        closes={
            plan: CloseRecord(records=len(close.facts), attempt=close.attempt, state=close.state)
            for plan, close in zip(PLANS, log.closes, strict=False)
        },
    )


class Hand:
    """One process's hand on one close of the log: who it says it is, and which head it believes in."""

    def __init__(
        self, world: World, name: int, process: Process, plan: int, closing: Closing, broken: Mutant | None
    ) -> None:
        self.log, self.plan, self.closing = world.log, plan, closing
        self.model = scripts(world.log)
        self._close = world.log.closes[plan]
        self._broken = broken
        held = Lease(NAMES[name], process.epoch)
        if broken is Mutant.NO_EPOCH:
            held = Lease(self.model.holder, self.model.epoch)
        if world.lost_at and broken is not Mutant.NO_WAIT:
            held = Lease("nobody", 0)  # nothing passes until the loss is reconciled
        self._held = held
        # The scripts compare hashes of the whole chain, so a chain of the same length is not the same head.
        same = closing.seen == self._close.facts or broken is Mutant.NO_CHAIN
        self._seen = len(self._close.facts) if same else -1

    def append(self) -> tuple[str, Log]:
        said = self.model.append(self._held, PLANS[self.plan], self._seen, 0)
        return said, self._after(said, self.closing.unwritten)

    def gate(self, attempt: int, sending: int) -> tuple[str, Log]:
        model = self.model
        if self._broken is Mutant.NO_CHAIN:
            attempt = model.closes[PLANS[self.plan]].attempt + 1
        if self._broken is Mutant.NO_FREEZE:
            model.frozen = False
        if self._broken is Mutant.NO_FLIGHT:
            model.flight = ""
        if self._broken is Mutant.NO_CLAIM:
            model.claims.clear()
        intent = PLANS[self.plan] if self.log.claim is None else _WISH
        said = model.gate(self._held, PLANS[self.plan], self._seen, attempt, 0, intent)
        return said, self._after(said, (*self.closing.unwritten, sending))

    def publish(self, ended: int, state: str) -> tuple[str, Log]:
        """With the acknowledgement of the entry that was judged."""
        fact = FACTS[ended]
        assert isinstance(fact, Ended)
        judged = self.log.claim is not None and (self._close.attempt or fact.position_after is not None)
        intents = (_WISH,) if judged else ()
        said = self.model.publish(self._held, PLANS[self.plan], self._seen, state, 0, intents)
        log = self._after(said, (*self.closing.unwritten, ended))
        return said, acknowledge(log, (self.closing.judged,)) if said == OK else log

    def _after(self, said: str, facts: tuple[int, ...]) -> Log:
        if said != OK:
            return self.log
        model = self.model
        record = model.closes[PLANS[self.plan]]
        close = Close(self._close.facts + facts, record.attempt, record.state)
        closes = (*self.log.closes[: self.plan], close, *self.log.closes[self.plan + 1 :])
        claim = None if self.log.claim is None else model.claims.get(_WISH, "")
        return self.log._replace(flight=model.flight, claim=claim, closes=closes)


def acknowledge(log: Log, entries: tuple[int, ...]) -> Log:
    return log._replace(
        acknowledged=tuple(was or place in entries for place, was in enumerate(log.acknowledged))
    )
