"""Gates that were made for entries, and truths that were not the venue's: none of them may stop or size a close."""

from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

import sureclose
from tests.acceptance.world import QUICK, decision, token, world
from tests.incidents.plays import Stage, alone, effect, shared

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

_ROOT: Final = Path(sureclose.__file__).parent


# Closes depend on the log and the venue, and on nothing that was made for entries -------------------------------------


@shared
async def test_incident_18_a_danger_score_travels_with_the_close_and_vetoes_nothing(stage: Stage) -> None:
    held = await stage.open()
    plan_id = await stage.wish(held.symbol, kill_score="0.99", k_regime_flip="1", R_net="-7.5")
    assert (await stage.outcome(plan_id))["outcome"] == "FLAT"
    (admitted,) = stage.facts(plan_id, "ADMITTED")
    assert admitted["decision"]["scores"]["kill_score"] == "0.99"
    await stage.venue.closed_once(held)


@shared
async def test_incident_29_no_other_program_s_heartbeat_is_asked_for(stage: Stage) -> None:
    """A trainer that nobody needs had crashed 30,206 times, and exits waited for it."""
    held = await stage.open()
    await stage.world.log.add(
        "heartbeat.trainer", {"status": "dead", "restarts": "30206", "allow_exits": "False"}
    )
    assert (await stage.outcome(await stage.decide(held, trainer_ok="False", heartbeat="stale")))[
        "outcome"
    ] == "FLAT"
    await stage.venue.closed_once(held)


@shared
async def test_incident_34_a_drift_or_a_hold_beside_an_approval_does_not_hold_the_close(stage: Stage) -> None:
    """The hold blocked the close that would have cured the drift, 41,513 times."""
    held = await stage.open()
    fields = {"hold": "True", "drift": "True", "permit": "", "risk_verdict": "DENY", "cooldown_s": "600"}
    assert (await stage.outcome(await stage.decide(held, **fields)))["outcome"] == "FLAT"
    await stage.venue.closed_once(held)


@shared
async def test_incident_38_closes_of_one_symbol_have_no_cap_of_ours(stage: Stage) -> None:
    held = await stage.open(400)
    for number in range(20):
        plan_id = await stage.decide(held, f"{token()}-{number}", action="PARTIAL_CLOSE", fraction="0.1")
        assert (await stage.outcome(plan_id))["outcome"] == "REDUCED"
    assert (await stage.outcome(await stage.decide(held)))["outcome"] == "FLAT"
    assert effect(await stage.books(), held) == abs(held.amount)


@alone
async def test_incident_43_a_close_asks_nothing_of_the_account(log_url: str, folder: Path) -> None:
    """Margin, balances and the account's configuration can't be read."""
    async with world(log_url, folder, QUICK | {"VENUE__SIZE_FROM_STREAM": "false"}) as deployment:
        await deployment.up(deployment.run())
        for route in ("account", "accountConfig", "balance"):
            for version in ("v1", "v2", "v3"):
                await deployment.exchange.fault_of_reads("internal_503", f"GET /fapi/{version}/{route}")
        held, plan_id = await deployment.exchange.open(), token()
        await deployment.log.add("apply.result", decision(held, plan_id))
        assert (await deployment.log.outcome(plan_id))["outcome"] == "FLAT"
        await deployment.exchange.closed_once(held)


# The venue's word, signed and absolute --------------------------------------------------------------------------------


@shared
async def test_incident_69_a_short_stays_a_short(stage: Stage) -> None:
    held = await stage.open(-136)
    outcome = await stage.outcome(await stage.decide(held))
    assert (outcome["outcome"], Decimal(outcome["position_before"])) == ("FLAT", held.amount)
    assert (await stage.venue.closed_once(held))["side"] == "BUY"


@shared
async def test_incident_70_what_others_did_since_is_in_the_size_and_no_sum_of_ours_is(stage: Stage) -> None:
    """A ledger said -515 while the venue said +366: here the event's own amount is three times what there was."""
    held = await stage.open(200)
    await stage.venue.trade(held.symbol, held.closing_side, held.share("0.25"))
    plan_id = await stage.decide(held, position_amt=f"{3 * held.amount:f}")
    outcome = await stage.outcome(plan_id)
    assert outcome["outcome"] == "FLAT"
    assert Decimal(outcome["filled_qty"]) == abs(held.amount) - held.share("0.25")


@alone
async def test_incident_72_what_is_open_is_counted_at_the_venue_and_unknown_is_not_none(
    log_url: str, folder: Path
) -> None:
    """Incident 68 as well: 73 of 82 position keys were ghosts. Seventeen are open, and nobody keeps a list of them."""
    async with world(log_url, folder) as deployment:
        await deployment.up(deployment.run())
        held = [await deployment.exchange.open() for _ in range(17)]
        shown = await deployment.command("authority", "show", "--json")
        assert {one["symbol"] for one in shown.document["positions"]} == {one.symbol for one in held}
        for version in ("v2", "v3"):
            await deployment.exchange.fault_of_reads("internal_503", f"GET /fapi/{version}/positionRisk")
        blind = await deployment.command("authority", "show", "--json")
        assert blind.document["positions"] is None
        assert blind.document["unknown"]


# Authority ------------------------------------------------------------------------------------------------------------


@alone
async def test_incident_79_the_one_switch_works_from_end_to_end(log_url: str, folder: Path) -> None:
    """A kill switch compared text with bytes and was never true; there were five of them."""
    async with world(log_url, folder) as deployment:
        await deployment.up(deployment.run())
        held, before, after = await deployment.exchange.open(), token(), token()
        first, unfrozen = await deployment.exchange.open(), token()
        await deployment.log.add("apply.result", decision(first, unfrozen))
        assert (await deployment.log.outcome(unfrozen))["outcome"] == "FLAT"
        reason = 'Schalter ✓ "quoted"'
        frozen = await deployment.command("freeze", "--reason", reason, "--json")
        assert frozen.document["freeze"]["triggers"][0]["reason"] == reason
        await deployment.log.add("apply.result", decision(held, before))
        assert (await deployment.log.outcome(before))["reason"] == "frozen"
        await deployment.exchange.untouched(held)
        deployment.end()
        await deployment.log.release()
        await deployment.up(deployment.run())
        await deployment.log.add("apply.result", decision(held, after))
        assert (await deployment.log.outcome(after))["reason"] == "frozen"
        await deployment.exchange.untouched(held)
