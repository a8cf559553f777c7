"""What a person may change, on an audit that lacks nothing: for the record that was looked at, and while a controller leads."""

from pathlib import Path

import msgspec
import pytest

from sureclose.domain.authority import CantChange, Component, Ground, Trigger
from sureclose.domain.market import Position
from sureclose.domain.words import Mode
from sureclose.journal import lease
from sureclose.operate import authorising
from sureclose.operate.auditing import missing_for
from sureclose.operate.authorising import Refused
from sureclose.operate.session import Session
from sureclose.services.identity import producer
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from tests.journal.journals import Desk
from tests.services.audited import BEGAN_AT, NOW, Audit

EXECUTION = Component.EXECUTION_SERVICE


class Flat:
    """A venue without positions."""

    async def positions(self) -> list[Position]:
        return []


class Office:
    """A session with a usable audit, in an account that was granted and frozen before that."""

    def __init__(self, audit: Audit) -> None:
        self.audit = audit
        self.session: Session = msgspec.structs.replace(
            audit.session,
            wiring=Wiring(
                StreamSettings(prefix=audit.desk.prefix), CodecRules(Mode.PAPER, False), producer("test")
            ),
            venue=Flat(),
        )
        self.desk = authorising.desk_of(self.session)

    async def open(self) -> "Office":
        await self.audit.make()
        self.audit.now = BEGAN_AT - 1_000
        await self.desk.begin(EXECUTION)
        await self.desk.freeze(Trigger.COMMAND, "a drill", actor="ann")
        self.audit.now = NOW
        return self

    async def unfreeze(self) -> None:
        await authorising.unfreeze(self.session, audit=self.audit.id, actor="ann")


@pytest.fixture
async def office(log: Log, log_prefix: str, tmp_path: Path) -> Office:
    desk = await Desk(log, log_prefix).open(grant=False)
    return await Office(Audit(desk, log, tmp_path)).open()


async def test_an_unfreeze_rests_on_the_audit_up_to_when_that_began(office: Office) -> None:
    await office.unfreeze()
    standing = await office.desk.standing()
    assert not standing.frozen
    assert standing.judged_at == BEGAN_AT


async def test_while_the_safety_controller_has_the_lease_nothing_is_unfrozen(office: Office) -> None:
    """The last controller's trace is still there, and nobody would execute."""
    wire, keys = office.session.wire, office.session.keys
    await lease.drop(wire, keys, office.audit.desk.lease)
    assert await lease.take(wire, keys, "guard", component=Component.SAFETY_CONTROLLER)
    with pytest.raises(Refused, match="the lease is held by guard, which is no controller"):
        await office.unfreeze()
    assert (await office.desk.standing()).frozen


async def test_a_demotion_under_way_of_a_grant_is_not_undone_by_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guardian takes the grant away while the audit is looked at that would renew it."""

    async def slow(session: Session, audit: str, component: str, *, after: int | None) -> list[str]:
        missing = await missing_for(session, audit, component, after=after)
        await office.desk.demote(EXECUTION, Ground.BREACH, "a stranger's order")
        return missing

    monkeypatch.setattr(authorising, "missing_for", slow)
    with pytest.raises(CantChange, match="changed meanwhile"):
        await authorising.grant(
            office.session, EXECUTION, audit=office.audit.id, reason="proven", actor="ann"
        )
    assert (await office.desk.standing()).component is None
