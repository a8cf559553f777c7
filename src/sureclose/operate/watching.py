"""What every ``run`` does beside its roles: it announces itself, and watches whoever has the grant."""

import asyncio
from collections.abc import Callable, Sequence

from sureclose.domain.components import EXIT, Facts, component_of, scope_of
from sureclose.operate.session import Session
from sureclose.services import identity
from sureclose.services.alarms.board import Alarms
from sureclose.services.authority.findings import Findings
from sureclose.services.authority.freezing import AuthorityDesk
from sureclose.services.authority.guardian import Guardian
from sureclose.services.authority.path import PathReader
from sureclose.services.authority.registry import Registry
from sureclose.services.authority.self_report import facts_of
from sureclose.services.supervisor import Supervisor
from sureclose.services.vitals import AuthorityVitals, Vitals

NAME = "guardian"
"""The producer of what the guardian writes to ``authority.events``."""


class Watching:
    """Registry and guardian of one process; ``findings`` is where its services note what must not be."""

    def __init__(
        self,
        session: Session,
        roles: Sequence[str],
        worker: str,
        alarms: Alarms,
        vitals: Callable[[], Vitals],
    ) -> None:
        self._session = session
        self._vitals = vitals
        self.findings = Findings(session.clock.now)
        self._registry = Registry(
            session.wire,
            session.keys,
            roles,
            worker,
            started_at=session.clock.now(),
            facts=self._facts,
            wall=session.clock.now,
        )
        wiring = session.wiring.of(identity.producer(NAME))
        self._guardian = Guardian(
            session.wire,
            session.keys,
            AuthorityDesk(session.wire, session.keys, wiring, session.clock, session.venue),
            PathReader(
                session.wire,
                session.keys,
                session.streams,
                session.harvest_brain,
                most_in_flight=session.execution.most_in_flight,
                path_broken_s=session.authority.path_broken_s,
            ),
            alarms,
            session.authority,
            found=lambda: self.findings.all,
            wall=session.clock.now,
            monotonic=session.monotonic,
        )

    @property
    def authority(self) -> AuthorityVitals | None:
        """Grant and freeze as last seen; None while that is not known."""
        return self._guardian.vitals

    def spawn(self, supervisor: Supervisor, stop: asyncio.Event) -> None:
        supervisor.spawn("registry", self._registry.run(stop))
        supervisor.spawn("guardian", self._guardian.run(stop))

    async def stopped(self) -> None:
        """The last word of a process that ends in order."""
        await self._registry.announce(stopped=True)

    def _facts(self, role: str) -> Facts:
        venue = self._session.venue
        return facts_of(
            role,
            self._vitals(),
            self._session.monotonic(),
            executes=scope_of(component_of(role)) == EXIT,
            queued=venue.order_queue,
            held_back_ms=venue.order_wait_ms(),
            found=self.findings.all,
        )
