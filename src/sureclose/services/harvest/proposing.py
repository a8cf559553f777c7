"""From a proposal to an intent: the wish, its name, and the one script that says it and books it."""

from collections.abc import Callable

import msgspec
import structlog

from sureclose.domain.events import Intent
from sureclose.domain.harvest import wishes
from sureclose.domain.harvest.policy import Proposal
from sureclose.domain.harvest.wishes import VALID_MS, Kept, Wish
from sureclose.domain.market import Position
from sureclose.domain.planning import planned_id
from sureclose.domain.words import AgeSource, PositionSide
from sureclose.journal.asking import Record, Saying
from sureclose.journal.harvest import KNOWN, MOVED, HarvestBook, field_of
from sureclose.services.harvest.ledger import Ledger
from sureclose.services.reading import Wiring
from sureclose.streams.encode import encode_intent

log = structlog.get_logger()

DOOR = "harvest"


class Proposing:
    """The way of the acting policy's proposals. ``policy`` is its name in the configuration, ``wall`` the log's milliseconds."""

    def __init__(
        self,
        book: HarvestBook,
        ledger: Ledger,
        wiring: Wiring,
        *,
        account: str,
        policy: str,
        wall: Callable[[], int],
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._wiring = wiring
        self._account = account
        self._policy = policy
        self._wall = wall

    async def propose(self, kept: Kept, position: Position, proposal: Proposal, by: str) -> Wish | None:
        """The wish that it became; ``None`` when another process was quicker. ``by`` is who judged. Raises what the log raises."""
        now, number = self._wall(), wishes.number_of(kept, proposal.name)
        intent_id = wishes.intent_id_of(self._account, self._policy, kept.followed, proposal.name, number)
        intent = intent_of(proposal, position, intent_id, by, now, self._wiring)
        wish = Wish(
            name=proposal.name,
            number=number,
            intent_id=intent_id,
            plan_id=planned_id(intent),
            action=proposal.action,
            amount=wishes.amount_of(proposal),
            at=now,
            expires_at=now + VALID_MS,
            rung_before=kept.followed.episode.rung,
        )
        new = wishes.asked(kept, proposal, wish)
        field, raw = field_of(position.symbol, str(position.position_side)), wishes.encode(new)
        streams = self._wiring.streams
        said = Saying(streams.full(streams.intents), encode_intent(intent, self._wiring.producer, now))
        read = self._ledger.row(position)
        word, record = await self._book.ask(field, read.raw, raw, intent_id, _record(intent, wish), said)
        if word == MOVED:
            return None
        if word == KNOWN:
            # The book was lost, and not what was asked for: it is this wish, as it was said then.
            wish = msgspec.structs.replace(
                wish, plan_id=record.plan_id, at=record.at, expires_at=record.expires_at
            )
            return wish if await self._ledger.write(field, read, wishes.asked(kept, proposal, wish)) else None
        self._ledger.wrote(field, raw, new)
        log.info(
            "harvest_proposed",
            symbol=position.symbol,
            position_side=str(position.position_side),
            name=wish.name,
            number=number,
            action=wish.action,
            amount=wish.amount,
            reason=proposal.reason,
            by=by,
            intent_id=intent_id,
            plan_id=wish.plan_id,
        )
        return wish


def intent_of(
    proposal: Proposal, position: Position, intent_id: str, by: str, now: int, wiring: Wiring
) -> Intent:
    """The wish of a machine: it has no warrant, and says of which position it speaks."""
    return Intent(
        intent_id=intent_id,
        symbol=position.symbol,
        position_side=PositionSide(position.position_side),
        action=proposal.action,
        fraction=proposal.fraction,
        quantity=proposal.quantity,
        origin_at=now,
        age_source=AgeSource.FIELD,
        expires_at=now + VALID_MS,
        position_amt=position.amount,
        position_update_time=position.update_time,
        mode=wiring.rules.mode,
        reason=proposal.reason,
        source=f"harvest:{by}",
        scores=dict(proposal.scores),
    )


def _record(intent: Intent, wish: Wish) -> Record:
    return Record(
        plan_id=wish.plan_id,
        symbol=intent.symbol,
        position_side=str(intent.position_side),
        action=intent.action,
        at=wish.at,
        expires_at=wish.expires_at,
        door=DOOR,
        actor=intent.source,
        fraction="" if intent.fraction is None else f"{intent.fraction:f}",
        quantity="" if intent.quantity is None else f"{intent.quantity:f}",
        reason=intent.reason,
    )
