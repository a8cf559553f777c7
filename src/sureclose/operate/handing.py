"""The harvest brain that hands its decisions over, put together for one process."""

from sureclose.operate.session import Session
from sureclose.services import identity
from sureclose.services.approvals import Approvals
from sureclose.services.handing_over import HandOver
from sureclose.services.observer import Observer
from sureclose.services.routes import brain, other_reader
from sureclose.services.settings import Path
from sureclose.services.watcher import Watcher
from sureclose.streams.names import StreamName
from sureclose.streams.stage import Observe


def handing_over(session: Session, observe: Observe) -> HandOver:
    """Of this session's deployment."""
    route = brain(session.streams)
    wiring = session.wiring.of(identity.producer(route.role))
    approvals = Approvals(session.log, wiring, route, observe, session.clock, session.monotonic)

    def observer() -> Observer:
        watcher = Watcher(
            session.journal,
            session.wire,
            session.clock.now,
            approvals=map(session.streams.full, (StreamName.APPLY_RESULT, StreamName.TRADE_INTENT)),
            other=other_reader(session.streams, session.harvest_brain, route),
        )
        return Observer(approvals, watcher, session.execution.most_in_flight)

    return HandOver(
        session.wire,
        session.keys,
        approvals,
        wiring,
        observer,
        by_default=session.execution.path is Path.HARVEST_BRAIN,
    )
