"""The journal of a dry run: whatever comes to its gate is noted and not let through."""

from collections.abc import Callable, Sequence

from sureclose.domain.facts import AnyFact, Sending, WouldSend
from sureclose.journal import authority
from sureclose.journal.chain import Chain
from sureclose.journal.fence import Fence
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.store import Journal
from sureclose.journal.verdict import Passage, Verdict
from sureclose.streams.wire import Wire


class RehearsalJournal(Journal):
    """A gate that opens for nobody. ``real`` are the keys of the account that is rehearsed: they are only read.

    Nothing here can write a SENDING record, so nothing that waits for one can send.
    """

    def __init__(self, wire: Wire, keys: Keys, wall: Callable[[], int], fence: Fence, real: Keys) -> None:
        super().__init__(wire, keys, wall, fence)
        self._real = real

    async def gate(
        self,
        chain: Chain,
        lease: Lease,  # noqa: ARG002 - what is not sent needs no lease
        *,
        component: str,
        warranted_intent: str,
        intent_id: str,  # noqa: ARG002 - nor a claim
        sending: Sending,
    ) -> Passage:
        """What would be sent, and what the account's own gate would say of it now: by grant, freeze and warrant."""
        gate = await self._stands(component, warranted_intent, chain.plan_id)
        return Passage(
            Verdict.DRY_RUN,
            rehearsed=WouldSend(
                attempt=sending.attempt,
                client_order_id=sending.client_order_id,
                side=sending.side,
                quantity=sending.quantity,
                position=sending.position,
                limit_price=sending.limit_price,
                gate=gate,
            ),
        )

    async def permit(
        self,
        chain: Chain,  # noqa: ARG002 - nothing is cancelled, whoever asks
        lease: Lease,  # noqa: ARG002
        *,
        component: str,  # noqa: ARG002
        warranted_intent: str,  # noqa: ARG002
    ) -> Verdict:
        """Nothing is cancelled either."""
        return Verdict.DRY_RUN

    async def adopt(
        self,
        chain: Chain,  # noqa: ARG002 - no order is its own
        lease: Lease,  # noqa: ARG002
        sending: Sending,  # noqa: ARG002
        known: Sequence[AnyFact],  # noqa: ARG002
        *,
        intent_id: str,  # noqa: ARG002
    ) -> Verdict:
        """No order of the venue becomes an attempt of a dry run."""
        return Verdict.DRY_RUN

    async def _stands(self, component: str, warranted_intent: str, plan_id: str) -> str:
        warrant = await self._wire.execute_command(b"GET", self._real.warrant(warranted_intent))
        if warrant is not None and warrant.decode() == plan_id:
            return ""
        standing = await authority.standing(self._wire, self._real)
        if standing.frozen:
            return Verdict.FROZEN.lower()
        return "" if standing.component == component else Verdict.NOT_AUTHORISED.lower()
