"""Audits that passed on nothing, on one's own word, or on documents that nobody had."""

from pathlib import Path

import pytest

from sureclose.streams.connection import Log, LogSettings
from tests.acceptance.world import token
from tests.incidents.plays import alone
from tests.incidents.staged import staged
from tests.journal.journals import Desk
from tests.services.audited import BEGAN_AT, Audit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@alone
async def test_incident_74_an_audit_counts_the_venues_trades_whatever_our_own_streams_claim(
    log_url: str, folder: Path
) -> None:
    async with staged(log_url, folder) as stage:
        await stage.world.up(stage.world.run())
        held, other = await stage.open(), await stage.open()
        plan_id = await stage.wish(held.symbol)
        told = await stage.outcome(plan_id)
        claims = {**told, "plan_id": "never-made", "symbol": other.symbol, "evidence": "0" * 64}
        for stream in ("execution.result", "apply.result"):
            await stage.world.log.add(stream, claims)
        theirs = [
            await stage.venue.trade(other.symbol, other.closing_side, other.step * 20) for _ in range(3)
        ]
        done = await stage.world.command("audit", "--json")
        assert done.code == 1, "there was no restart"
        questions = done.document["questions"]
        assert [question["looked_at"] for question in questions] == [1, 1, 1, 1, 0], done
        [order] = done.document["orders"]
        assert order["plan_id"] == plan_id
        assert order["order"]["orderId"] == (await stage.venue.closed_once(held))["orderId"]
        listed = {foreign["order"]["orderId"] for foreign in done.document["foreign"]}
        assert listed == {order["orderId"] for order in theirs}


@alone
async def test_incident_76_an_audit_that_finds_nothing_under_the_names_it_looks_for_does_not_pass(
    log_url: str, folder: Path
) -> None:
    """Nothing of ours was ever executed, the account trades, and no violation is found anywhere."""
    async with staged(log_url, folder) as stage:
        held = await stage.open()
        await stage.venue.trade(held.symbol, held.closing_side, abs(held.amount))
        done = await stage.world.command("audit", "--json")
        assert done.code == 1, done
        questions = done.document["questions"]
        assert {question["verdict"] for question in questions} == {"nothing to look at"}
        assert all(question["to_do"] for question in questions)
        assert not any(question["exceptions"] for question in questions)
        assert len(done.document["foreign"]) == 1


@alone
async def test_incident_78_an_unfreeze_that_cites_documents_that_do_not_exist_lacks_them(
    log_url: str, folder: Path
) -> None:
    async with Log(LogSettings(url=log_url)) as log:
        audit = Audit(await Desk(log, f"{token()}:").open(), log, folder)
        [told] = await audit.missing("EXIT_AUDIT_FINAL", after=BEGAN_AT - 1)
        assert "there is no audit EXIT_AUDIT_FINAL" in told
        await audit.make()
        assert await audit.missing(after=BEGAN_AT - 1) == []
        audit.file.unlink()
        [told] = await audit.missing(after=BEGAN_AT - 1)
        assert "not there" in told
