"""What comes in: whose wish it is, which side it names, which symbol, and what may stop it on its way."""

import asyncio
import json
from decimal import Decimal

import pytest

from tests.acceptance.world import Fields, now_ms, token
from tests.incidents.plays import Stage, effect, shared

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

_NOISE = [f"{number / 3 + 0.1:.17g}" for number in range(20)]
"""What a price or a score looks like from tick to tick."""


async def _read_to_the_end(stage: Stage, symbol: str, entries: list[str]) -> list[Fields]:
    """All outcomes of the symbol, once what was added has gone the whole way."""
    log = stage.world.log
    for entry in entries:
        await log.finished("harvest.intent", "intent_executor_harvest", entry)
    plans = {fields["plan_id"] for _, fields in await log.entries("apply.plan") if fields["symbol"] == symbol}
    stage.plans += plans
    for plan_id in plans:
        await stage.watch.outcome(plan_id, 30.0)
    results = await log.entries("execution.result")
    return [fields for _, fields in results if fields["symbol"] == symbol]


async def _repeated(stage: Stage, wishes: list[Fields], symbol: str) -> list[Fields]:
    entries = []
    for wish in wishes:
        fields = {"symbol": symbol, "timestamp": str(now_ms()), **wish}
        entries.append(await stage.world.log.add("harvest.intent", fields))
        await asyncio.sleep(0.01)
    return await _read_to_the_end(stage, symbol, entries)


@shared
async def test_incident_56_noise_in_prices_and_scores_makes_no_second_order(stage: Stage) -> None:
    """Twenty ticks of one wish for a quarter: one order."""
    held = await stage.open()
    intent_id = f"wish-{token()}"
    wishes = [
        {"intent_id": intent_id, "action": "PARTIAL_25", "R_net": noise, "price": noise, "kill_score": noise}
        for noise in _NOISE
    ]
    outcomes = await _repeated(stage, wishes, held.symbol)
    assert [one["outcome"] for one in outcomes] == ["REDUCED"]
    await stage.venue.closed_once(held, held.share("0.25"))


@shared
async def test_incident_56_noise_in_the_amount_makes_no_second_order(stage: Stage) -> None:
    """The same wish again, its quantity computed anew each time and off in the last digits: still one wish."""
    held = await stage.open()
    intent_id, wanted = f"wish-{token()}", held.share("0.25")
    wishes = [
        {
            "intent_id": intent_id,
            "action": "PARTIAL_CLOSE",
            "quantity": f"{wanted + Decimal(number).scaleb(-15):f}",
        }
        for number in range(20)
    ]
    await _repeated(stage, wishes, held.symbol)
    books = await stage.books()
    assert effect(books, held) == wanted
    assert len(books.effective(held.symbol)) == 1


@shared
async def test_incident_63_the_side_is_the_venue_s_whatever_the_entry_says(stage: Stage) -> None:
    """CLOSE is no side, and SELL would make a short larger."""
    for steps, side in ((136, "CLOSE"), (136, "BUY"), (-136, "SELL"), (-136, "close"), (136, "LONG")):
        held = await stage.open(steps)
        outcome = await stage.outcome(await stage.decide(held, side=side))
        assert outcome["outcome"] == "FLAT", side
        order = await stage.venue.closed_once(held)
        assert order["side"] == ("SELL" if steps > 0 else "BUY")


@shared
async def test_incident_63_a_step_that_says_close_is_executed_by_the_sign(stage: Stage) -> None:
    held = await stage.open(-136)
    step = {"step": "CLOSE_PARTIAL_75", "type": "market_reduce_only", "side": "close", "pct": 75.0}
    outcome = await stage.outcome(await stage.decide(held, action="PARTIAL_75", steps=json.dumps([step])))
    assert (outcome["outcome"], outcome["reason"]) == ("REDUCED", "")
    assert (await stage.venue.closed_once(held, held.share("0.75")))["side"] == "BUY"


@shared
async def test_incident_64_a_symbol_that_does_not_exist_is_refused_however_it_was_approved(
    stage: Stage,
) -> None:
    for symbol in ("NOSUCHUSDT", "BTCUSD", "1000000BONKUSDT"):
        plan_id = await stage.decide(symbol)
        outcome = await stage.outcome(plan_id)
        assert (outcome["outcome"], outcome["reason"]) == ("REFUSED", "unknown_symbol")
        assert (outcome["executed"], outcome["order_ids"]) == ("False", "")
        assert await stage.sent(symbol) == []
        confirmed = await stage.world.log.entries("apply.result")
        assert not [one for _, one in confirmed if one["plan_id"] == plan_id and one["executed"] == "True"]


@shared
async def test_incident_102_nothing_on_the_way_can_veto_a_close(stage: Stage) -> None:
    """Every score, cap and hold that an entry would be stopped by, on a position below the minimum of an entry."""
    held = await stage.open(3, tradable=False)
    against = {
        "kill_score": "0.999",
        "R_net": "-4.2",
        "k_regime": "1.0",
        "k_drift": "1.0",
        "cooldown": "900",
        "risk_ok": "False",
        "universe": "OUT",
        "allowlist": "False",
        "min_notional": "100",
        "hold": "True",
    }
    plan_id = await stage.wish(held.symbol, "EMERGENCY_SL_CLOSE", source="somebody_new", **against)
    outcome = await stage.outcome(plan_id)
    assert outcome["outcome"] == "FLAT"
    verdicts = [one for _, one in await stage.world.log.entries("apply.result") if one["plan_id"] == plan_id]
    assert [one["decision"] for one in verdicts if one["executed"] == "False"] == ["CLOSE"]
    assert not [one for one in verdicts if one.get("veto") or one.get("error")]
    await stage.venue.closed_once(held)


@shared
async def test_incident_115_an_order_of_another_bot_is_not_ours_and_does_not_confuse_us(stage: Stage) -> None:
    """It trades beside us with ids that look alike, in our window, and its resting entry stays where it is."""
    held = await stage.open()
    entry = await stage.rest(
        held, side="BUY", price=f"{await stage.price(held.symbol, Decimal('0.96')):f}", reduceOnly=""
    )
    await stage.venue.fault("unknown_503_not_executed", held.symbol)
    plan_id = await stage.decide(held, action="PARTIAL_50", fraction="0.5")
    await stage.arrived(held.symbol)
    for side in (held.closing_side, "BUY"):
        await stage.venue.signed(
            "POST",
            "/fapi/v1/order",
            symbol=held.symbol,
            side=side,
            type="MARKET",
            quantity=f"{held.share('0.25'):f}",
            newClientOrderId=f"bot-sc-{token()}",
        )
    outcome = await stage.outcome(plan_id)
    assert (outcome["outcome"], outcome["reason"]) == ("REDUCED", "")
    books = await stage.books()
    assert effect(books, held) == Decimal(outcome["filled_qty"]) == held.share("0.5")
    assert books.position(held.symbol) == held.share("0.5")
    status = {order["clientOrderId"]: order["status"] for order in books._books["orders"]}
    assert status[entry] == "NEW"
    await stage.venue.signed("DELETE", "/fapi/v1/order", symbol=held.symbol, origClientOrderId=entry)


@shared
async def test_incident_109_the_stream_s_silence_about_a_position_is_not_flat(stage: Stage) -> None:
    """Nothing of the position was ever told: it is read, and closed."""
    symbol = stage.flat()
    await stage.control("faults", fault="stream_silent", match={"symbol": symbol})
    await stage.venue.trade(symbol, "BUY", Decimal(1000))
    outcome = await stage.outcome(await stage.decide(symbol))
    assert (outcome["outcome"], Decimal(outcome["filled_qty"])) == ("FLAT", Decimal(1000))
    assert (await stage.books()).position(symbol) == 0


@shared
async def test_incident_109_a_position_that_the_stream_still_tells_of_is_not_closed_twice(
    stage: Stage,
) -> None:
    """The other way: what was told is gone, the venue refuses, and a fresh read has the last word."""
    held = await stage.open()
    first = await stage.outcome(await stage.decide(held, action="PARTIAL_25", fraction="0.25"))
    assert first["outcome"] == "REDUCED"
    await stage.control("faults", fault="stream_silent", match={"symbol": held.symbol})
    await stage.venue.trade(held.symbol, held.closing_side, abs(held.amount) - held.share("0.25"))
    outcome = await stage.outcome(await stage.decide(held))
    assert outcome["outcome"] == "ALREADY_FLAT"
    assert (await stage.books()).position(held.symbol) == 0
