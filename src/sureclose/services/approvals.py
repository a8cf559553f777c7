"""How the executor of one path reads approvals: its stream, its group, its shape of entry."""

from collections.abc import Callable, Collection, Sequence

from sureclose.domain.events import Decision
from sureclose.services.reading import Wiring, handed_over, understood
from sureclose.services.routes import Route
from sureclose.streams.clock import LogClock, Moment
from sureclose.streams.connection import Log
from sureclose.streams.deadletter import dead_letter
from sureclose.streams.encode import encode_decision, encode_handover
from sureclose.streams.entry import Entry
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from sureclose.streams.publish import Finish, acknowledge, finish
from sureclose.streams.stage import Observe, Stage
from sureclose.streams.verdict import Dead, Drop, StageVerdict
from sureclose.streams.wire import Wire


class Approvals:
    """One route's entries: read, acknowledged, buried, and said again. The ``Desk`` of its engine."""

    def __init__(
        self,
        connection: Log,
        wiring: Wiring,
        route: Route,
        observe: Observe,
        clock: LogClock,
        monotonic: Callable[[], float],
    ) -> None:
        self._log = connection
        self._wire: Wire = connection.commands()
        self._wiring = wiring
        self.route = route
        self._observe = observe
        self._clock = clock
        self._monotonic = monotonic

    @property
    def stream(self) -> str:
        return self._wiring.streams.full(self.route.source)

    def stage(
        self,
        decide: Callable[[Entry, Moment], StageVerdict],
        *,
        claim_idle_ms: int,
        in_flight: Callable[[], Collection[str]],
        free: Callable[[], int],
        block_ms: int | None = None,
    ) -> Stage:
        """The reader; who decides keeps what it takes in."""
        return Stage(
            self._log,
            name=self.route.name,
            role=self.route.role,
            prefix=self._wiring.streams.prefix,
            source=self.stream,
            group=self.route.group,
            dead_letters=self._wiring.streams.full(StreamName.DEAD_LETTER),
            producer=self._wiring.producer,
            decide=decide,
            observe=self._observe,
            clock=self._clock,
            monotonic=self._monotonic,
            claim_idle_ms=claim_idle_ms,
            in_flight=in_flight,
            free=free,
            block_ms=block_ms,
        )

    def read(self, entry: Entry, at: Moment) -> Decision | Drop | Dead:
        """The approved decision that an entry holds, or why it holds none."""
        if self.route.source is StreamName.TRADE_INTENT:
            return handed_over(self._wiring, entry, at)
        return understood(self._wiring, self.route.source, entry, at, Decision)

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Entries whose close was made already."""
        ids = [entry.ref.entry_id for entry in entries]
        await acknowledge(self._wire, self.stream, self.route.group, ids)

    async def bury(self, entries: Sequence[Entry], why: Unreadable) -> None:
        """Entries that ask for something else under the name of a close that was made."""
        dead_letters, producer = StreamName.DEAD_LETTER, self._wiring.producer
        ends = [
            Finish(
                entry.ref.entry_id,
                (
                    self._wiring.event(
                        dead_letters,
                        dead_letter(entry.ref, entry.fields, why, producer, self._clock.now()),
                    ),
                ),
            )
            for entry in entries
        ]
        await finish(self._wire, self.stream, self.route.group, ends)

    async def say_again(self, decision: Decision) -> None:
        """Publish a decision once more, for who leads now."""
        encode = encode_handover if self.route.source is StreamName.TRADE_INTENT else encode_decision
        fields = self._wiring.marked(encode(decision, self._wiring.producer, self._clock.now()))
        said = (part for pair in fields.items() for part in pair)
        await self._wire.execute_command(b"XADD", self.stream, b"*", *said)
