"""``run --roles harvest``: the deciding side of one process, alone or beside the roles that execute."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

from sureclose.journal.harvest import HarvestBook
from sureclose.operate.listening import Listening
from sureclose.operate.senses import Senses
from sureclose.operate.session import Session
from sureclose.services import identity
from sureclose.services.alarms.board import Alarms
from sureclose.services.harvest.asker import Asker
from sureclose.services.harvest.candles import Candles
from sureclose.services.harvest.conditions import Conditions
from sureclose.services.harvest.harvest import Harvest
from sureclose.services.harvest.ledger import Ledger
from sureclose.services.harvest.pacing import Paced
from sureclose.services.harvest.policies import load_policy
from sureclose.services.harvest.proposing import Proposing
from sureclose.services.harvest.shadows import Shadow
from sureclose.services.reading import Wiring
from sureclose.services.settings import Role
from sureclose.services.sight import Sight
from sureclose.services.vitals import ClockVitals, Vitals


class HarvestRole:
    """Harvest and its senses, wired to one session. ``listening`` is who hears the account's stream here already, if anybody.

    Raises ``PolicyProblem``.
    """

    def __init__(
        self,
        session: Session,
        *,
        alarms: Alarms,
        worker: str,
        started_at: int,
        stop: asyncio.Event,
        listening: Listening | None,
    ) -> None:
        self._session = session
        self._stop = stop
        self._alone = listening is None
        settings, wall, account = session.harvest, session.clock.now, session.keys.account
        wiring = Wiring(session.streams, session.wiring.rules, identity.producer(Role.HARVEST))
        policy = load_policy(settings.policy)
        shadows = [load_policy(name) for name in settings.shadow]
        sight = Sight(session.venue, session.monotonic)
        self._candles = Candles(
            session.venue,
            lambda: sight.symbols,
            session.monotonic,
            interval=settings.kline_interval,
            count=settings.klines,
            every_s=settings.kline_read_s,
        )
        book = HarvestBook(session.wire, session.keys)
        ledger = Ledger(book, Paced(session.venue, session.monotonic), session.monotonic)
        self._shadows = [
            Shadow(Asker(shadow), HarvestBook(session.wire, session.keys, shadow.name), wiring, account, wall)
            for shadow in shadows
        ]
        self._harvest = Harvest(
            sight,
            self._candles,
            ledger,
            Asker(policy),
            Proposing(book, ledger, wiring, account=account, policy=policy.name, wall=wall),
            self._shadows,
            session.journal,
            Conditions(alarms, session.monotonic),
            book,
            settings,
            clock=session.venue.clock,
            wall=wall,
            monotonic=session.monotonic,
            worker=worker,
            started_at=started_at,
        )
        self._sight = sight
        self._senses = Senses(session, sight, stop, prices=self._harvest.wake)
        if listening is not None:
            listening.wakes.append(sight.wake)
        sight.listeners.append(self._harvest.wake)

    def tasks(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What has to be supervised."""
        stop = self._stop
        if self._alone:
            yield from self._senses.account()
        yield from self._senses.tasks()
        yield "harvest reads", self._sight.run(stop)
        yield "harvest klines", self._candles.run(stop)
        yield "harvest health", self._harvest.tell(stop)
        for shadow in self._shadows:
            yield f"shadow {shadow.asker.name}", shadow.run(stop)
        yield "harvest", self._harvest.run(stop)

    def answers(self) -> Iterator[bool]:
        """Whether the log answers, once it was asked."""
        if self._harvest.log_answers is not None:
            yield self._harvest.log_answers

    def vitals(self) -> dict[str, Any]:
        """The fields of ``Vitals`` that a process which decides and does not execute knows of."""
        session = self._session
        found = {
            "clock": ClockVitals.of(session.venue.clock),
            "positions": self._senses.positions,
            "user_stream": self._senses.user_stream,
            "weight_used": session.venue.limits.weight_used(),
        }
        assert found.keys() <= set(Vitals.__struct_fields__)
        return found
