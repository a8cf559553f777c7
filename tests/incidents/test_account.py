"""What concerns the whole account: its mode, clock, limits, stream and keys, and who else trades on it."""

import json
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.world import QUICK, Done, Held, eventually, token
from tests.incidents.plays import Stage, alone, effect, sent
from tests.incidents.staged import staged
from tests.incidents.wiretap import wiretap

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

BAN_MS = 3000


async def _flat(stage: Stage, plan_id: str) -> None:
    outcome = await stage.outcome(plan_id)
    assert (outcome["outcome"], outcome["reason"]) == ("FLAT", "")


# Hedge mode, and what is left behind ---------------------------------------------------------------------------------


async def _hedged(stage: Stage) -> tuple[Held, Held]:
    """Both sides of one symbol open."""
    await stage.venue.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    return await _both_sides(stage)


async def _both_sides(stage: Stage) -> tuple[Held, Held]:
    long = await stage.open()
    market = next(one for one in await _markets(stage) if one["symbol"] == long.symbol)
    body = {"symbol": long.symbol, "amount": f"{-long.amount:f}", "entry_price": market["price"]}
    await stage.control("positions", **body)
    return long, Held(long.symbol, -long.amount, long.step)


async def _markets(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await stage.venue._json("GET", "/fapi/v1/ticker/price")
    return found


async def _positions(stage: Stage, symbol: str) -> dict[str, Decimal]:
    rows = (await stage.books())._books["positions"]
    return {row["positionSide"]: Decimal(row["positionAmt"]) for row in rows if row["symbol"] == symbol}


@alone
async def test_incident_58_in_hedge_mode_the_flag_is_left_out_and_leftovers_go_after_flat(
    log_url: str, folder: Path
) -> None:
    async with staged(log_url, folder) as stage:
        long, short = await _hedged(stage)
        ours = [
            await stage.rest(long, reduceOnly="", positionSide="LONG"),
            await stage.stop(long, positionSide="LONG"),
        ]
        others = [
            await stage.rest(short, reduceOnly="", positionSide="SHORT"),
            await stage.stop(short, positionSide="SHORT"),
        ]
        await stage.world.up(stage.world.run())
        await _flat(stage, await stage.decide(long, position_side="LONG"))
        (request,) = await stage.sent(long.symbol)
        asked = request["params"]
        assert (asked["side"], asked["positionSide"]) == ("SELL", "LONG")
        assert "reduceOnly" not in asked
        found = await _positions(stage, long.symbol)
        assert (found["LONG"], found["SHORT"]) == (Decimal(0), short.amount)
        status = await _status(stage)
        assert status[ours[0]] in {"CANCELED", "EXPIRED"}, "the order itself may knock a resting one out"
        assert status[ours[1]] == "CANCELED"
        assert {status[one] for one in others} == {"NEW"}, "they protect a position that is there"


async def _status(stage: Stage) -> dict[str, str]:
    """Of every order, by its client id."""
    raw = (await stage.books())._books
    found = {order["clientOrderId"]: order["status"] for order in raw["orders"]}
    return found | {algo["clientAlgoId"]: algo["algoStatus"] for algo in raw["algo_orders"]}


@alone
async def test_incident_58_leftovers_are_cancelled_by_policy_only(log_url: str, folder: Path) -> None:
    """One-way mode, with the policy and without: what would open a position stays either way."""
    for number, tidies in enumerate(("true", "false")):
        settings = QUICK | {"EXECUTION__TIDIES": tidies}
        async with staged(log_url, folder / str(number), settings) as stage:
            held = await stage.open()
            stop, entry = await stage.stop(held), await stage.rest(held, reduceOnly="")
            await stage.world.up(stage.world.run())
            await _flat(stage, await stage.decide(held))
            status = await _status(stage)
            assert (status[stop], status[entry]) == ("CANCELED" if tidies == "true" else "NEW", "NEW")


@alone
async def test_incident_108_both_modes_just_work(log_url: str, folder: Path) -> None:
    """Both sides at once, one answer lost; a person's close must name the side; and ``doctor`` has no complaint."""
    async with staged(log_url, folder) as stage:
        long, short = await _hedged(stage)
        await stage.world.up(stage.world.run())
        unnamed = await stage.world.command("close", long.symbol, "--wait", "--json")
        assert unnamed.code == 1, unnamed
        assert unnamed.document["reason"] == "position_side_needed"
        await stage.venue.fault("unknown_503", long.symbol, skip=1)
        plans = [
            await stage.decide(long, position_side="LONG", action="PARTIAL_50", fraction="0.5"),
            await stage.decide(short, position_side="SHORT", action="PARTIAL_50", fraction="0.5"),
        ]
        assert [(await stage.outcome(plan))["outcome"] for plan in plans] == ["REDUCED"] * 2
        half = long.share("0.5")
        found = await _positions(stage, long.symbol)
        assert (found["LONG"], found["SHORT"]) == (half, -half)
        for side in ("long", "short"):
            done = await stage.world.command("close", long.symbol, "--side", side, "--wait", "--json")
            assert (done.code, done.document["outcome"]) == (0, "FLAT"), done
        found = await _positions(stage, long.symbol)
        assert found["LONG"] == found["SHORT"] == Decimal(0)
        assert not [one for one in await stage.sent(long.symbol) if "reduceOnly" in one["params"]]
        doctor = await stage.world.command("doctor", "--json")
        (mode,) = [check for check in doctor.document["checks"] if check["name"] == "position mode"]
        assert mode["status"] != "fail", mode


@alone
async def test_incident_108_the_six_proofs_are_shown_in_hedge_mode_too(log_url: str, folder: Path) -> None:
    """Each side is a position of its own: one of each symbol is closed for the proofs, and panic closes the others."""
    async with staged(log_url, folder) as stage:
        both, _ = await _hedged(stage)
        other, _ = await _both_sides(stage)
        proven = await stage.world.command(
            "prove", "--symbols", f"{both.symbol},{other.symbol}", "--yes", "--json"
        )
        assert proven.code == 0, proven
        for symbol in (both.symbol, other.symbol):
            found = await _positions(stage, symbol)
            assert sorted(amount == 0 for amount in (found["LONG"], found["SHORT"])) == [False, True]
        await stage.world.up(stage.world.run())
        panicked = await stage.world.command("panic", "--json")
        assert panicked.code == 0, panicked
        assert [one["state"] for one in panicked.document["closes"]] == ["flat", "flat"]


@alone
async def test_incident_108_an_account_that_changes_its_mode_is_followed(log_url: str, folder: Path) -> None:
    async with staged(log_url, folder) as stage:
        await stage.world.up(stage.world.run())
        first = await stage.open()
        await _flat(stage, await stage.decide(first))
        long, short = await _hedged(stage)
        await _flat(stage, await stage.decide(long, position_side="LONG"))
        await _flat(stage, await stage.decide(short, position_side="SHORT"))
        found = await _positions(stage, long.symbol)
        assert found["LONG"] == found["SHORT"] == Decimal(0)


# The clock -----------------------------------------------------------------------------------------------------------


@alone
async def test_incident_60_a_skewed_clock_is_measured_and_costs_one_attempt_at_most(
    log_url: str, folder: Path
) -> None:
    """Five seconds off from the start, then ten the other way while it runs."""
    async with staged(log_url, folder) as stage:
        await stage.control("clock", offset_ms=5000)
        await stage.world.up(stage.world.run())
        held = await stage.open()
        await _flat(stage, await stage.decide(held))
        assert [one["code"] for one in await stage.sent(held.symbol)] == [0], (
            "it was known before the first order"
        )
        for offset in (-5000, 5000):
            await stage.control("clock", offset_ms=offset)
            held = await stage.open(-136)
            await _flat(stage, await stage.decide(held))
            codes = [one["code"] for one in await stage.sent(held.symbol)]
            assert codes in ([0], [-1021, 0]), codes
            await stage.venue.closed_once(held)


# Limits --------------------------------------------------------------------------------------------------------------


@alone
async def test_incident_61_no_request_leaves_while_we_are_banned(log_url: str, folder: Path) -> None:
    """Whatever it is: a close that is due, a clock that is measured, a position book that is checked."""
    busy = {"VENUE__CLOCK_INTERVAL_MS": "300", "VENUE__BOOK_CHECK_MS": "300"}
    async with staged(log_url, folder) as stage, wiretap(stage.venue.rest) as tap:
        await stage.world.up(stage.world.run(VENUE__BASE_URL=tap.url, **busy))
        held, other = await stage.open(), await stage.open(-136)
        await stage.venue.fault("banned", held.symbol, ms=BAN_MS)
        plans = [await stage.decide(held)]

        async def banned() -> float | None:
            return next((at for at, status in tap.answers if status == 418), None)

        began = await eventually("the ban", banned)
        plans.append(await stage.decide(other))
        for plan_id in plans:
            await _flat(stage, plan_id)
        inside = [line for at, line in tap.requests if began + 0.05 < at < began + BAN_MS / 1000 - 0.05]
        assert inside == []
        assert [line for at, line in tap.requests if at > began + BAN_MS / 1000 - 0.05]
        for one in (held, other):
            await stage.venue.closed_once(one)


@alone
async def test_incident_61_retry_after_is_kept_by_reads_and_by_orders(log_url: str, folder: Path) -> None:
    async with staged(log_url, folder) as stage, wiretap(stage.venue.rest) as tap:
        await stage.world.up(stage.world.run(VENUE__BASE_URL=tap.url))
        held = await stage.open()
        await stage.control(
            "faults", fault="rate_limited", ms=2000, match={"route": "GET /fapi/v2/positionRisk"}
        )
        await _flat(stage, await stage.decide(held, action="CLOSE", quantity=f"{held.amount:f}"))
        (began,) = [at for at, status in tap.answers if status == 429]
        assert [line for at, line in tap.requests if began + 0.05 < at < began + 1.95] == []
        await stage.venue.closed_once(held)


# The stream ----------------------------------------------------------------------------------------------------------


async def _checks(address: str) -> dict[str, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(f"{address}/health") as answer:
        return {check["name"]: check for check in (await answer.json())["checks"]}


async def _user_stream(stage: Stage, address: str, status: str) -> dict[str, str]:
    async def is_so() -> dict[str, str] | None:
        found = (await _checks(address))["user_stream"]
        return found if found["status"] == status else None

    return await eventually(f"the user stream is {status}", is_so, told=lambda: stage.world.runs[-1].told)


@alone
async def test_incident_111_a_stream_that_pongs_and_says_nothing_is_noticed_and_not_waited_for(
    log_url: str, folder: Path
) -> None:
    settings = QUICK | {"VENUE__STREAM_IDLE_MS": "700"}
    async with staged(log_url, folder, settings) as stage:
        await stage.control("faults", fault="stream_silent")
        run = stage.world.run()
        address = await stage.world.up(run)
        doubt = await _user_stream(stage, address, "warn")
        assert "no event for" in doubt["detail"]
        held = await stage.open()
        await stage.venue.fault("unknown_503", held.symbol)
        plan_id = await stage.decide(held)
        await _flat(stage, plan_id)
        assert [fact["via"] for fact in stage.facts(plan_id, "SEEN")] == ["query"]
        await stage.venue.closed_once(held)
        assert "user_stream_down" not in run.told, "the connection itself never broke"


async def _heard_again(stage: Stage) -> None:
    """A close whose answer is lost and which no query finds: only the stream can tell."""
    held = await stage.open()
    await stage.venue.fault("answer_dropped", held.symbol)
    await stage.control("faults", fault="read_lag", ms=60_000, match={"symbol": held.symbol})
    plan_id = await stage.decide(held)
    await _flat(stage, plan_id)
    assert stage.facts(plan_id, "SEEN")[0]["via"] == "stream"
    await stage.venue.closed_once(held)


@alone
async def test_incident_112_a_listen_key_that_another_program_deletes_is_replaced_and_all_is_read_again(
    log_url: str, folder: Path
) -> None:
    async with staged(log_url, folder) as stage:
        run = stage.world.run()
        await stage.world.up(run)
        for number, how in enumerate(("deleted by a second client", "deleted", "expired"), 1):
            await _snapshots(stage, number)
            if number == 1:
                await stage.venue._json("DELETE", "/fapi/v1/listenKey")
            else:
                await stage.control(f"listen-key/{'delete' if how == 'deleted' else 'expire'}")
            await _snapshots(stage, number + 1)
            await _heard_again(stage)


async def _snapshots(stage: Stage, count: int) -> None:
    """Wait until positions were read anew for so many connections."""
    run = stage.world.runs[0]

    async def read() -> bool | None:
        return sum(" snapshot " in f" {line} " for line in run.told.splitlines()) >= count or None

    await eventually(f"{count} snapshots", read, told=lambda: run.told)


@alone
async def test_incident_112_a_key_that_vanishes_without_a_word_is_found_out_by_silence(
    log_url: str, folder: Path
) -> None:
    """Its socket stays open and answers pings; the next extension is refused (-1125), and silence brings it forward."""
    settings = QUICK | {"VENUE__STREAM_IDLE_MS": "700"}
    async with staged(log_url, folder, settings) as stage:
        await stage.control("faults", fault="stream_silent", ms=4000)
        gone = {"fault": "refused", "code": -1125, "match": {"route": "PUT /fapi/v1/listenKey"}}
        await stage.control("faults", **gone)
        await stage.world.up(stage.world.run())
        await _snapshots(stage, 2)
        assert "the listen key is gone" in stage.world.runs[0].told


# A belief that is stale after a restart ------------------------------------------------------------------------------


@alone
async def test_incident_109_a_restart_believes_nothing_that_the_venue_does_not_say_now(
    log_url: str, folder: Path
) -> None:
    """Killed with an order of unknown fate that never arrived: not flat. Opened anew while nobody looked: not touched."""
    async with staged(log_url, folder) as stage:
        run = stage.world.run()
        await stage.world.up(run)
        lost, done = await stage.open(), await stage.open()
        await _flat(stage, await stage.decide(done))
        await stage.venue.fault("request_dropped", lost.symbol)
        plan_id = await stage.decide(lost)
        await stage.arrived(lost.symbol)
        run.kill()
        assert stage.watch.results(plan_id) == []
        again = abs(done.amount) * 2
        await stage.venue.trade(done.symbol, "BUY", again)
        await stage.world.up(stage.world.run())
        await _flat(stage, plan_id)
        await stage.venue.closed_once(lost)
        (ended,), fills = stage.facts(plan_id, "ENDED"), stage.facts(plan_id, "FILLED")
        last = max(trade["time"] for fact in fills for trade in fact["trades"])
        assert ended["position_after"]["requested_at"] >= last
        books = await stage.books()
        assert books.position(done.symbol) == again, "nothing closes because of a start"
        outcome = await stage.outcome(await stage.decide(done))
        assert (outcome["outcome"], Decimal(outcome["filled_qty"])) == ("FLAT", again)


@alone
async def test_incident_110_a_restart_attributes_no_fill_by_its_time(log_url: str, folder: Path) -> None:
    """Killed with the fate of an order open; a fill of somebody else's lies right beside it."""
    async with staged(log_url, folder) as stage:
        run = stage.world.run()
        await stage.world.up(run)
        held = await stage.open()
        await stage.venue.fault("answer_dropped", held.symbol)
        await stage.control("faults", fault="stream_silent", match={"symbol": held.symbol})
        plan_id = await stage.decide(held, action="PARTIAL_50", fraction="0.5")
        await stage.arrived(held.symbol)
        await stage.venue.trade(held.symbol, held.closing_side, held.share("0.25"))
        run.kill()
        await stage.world.up(stage.world.run())
        outcome = await stage.outcome(plan_id)
        books = await stage.books()
        (order,) = books.effective(held.symbol)
        assert (outcome["outcome"], outcome["order_ids"]) == ("REDUCED", str(order["orderId"]))
        assert Decimal(outcome["filled_qty"]) == held.share("0.5") == effect(books, held)
        assert books.position(held.symbol) == held.share("0.25")


# Other bots ----------------------------------------------------------------------------------------------------------


@alone
async def test_incident_115_orders_of_another_bot_are_reported_as_foreign_and_those_with_our_prefix_as_a_breach(
    log_url: str, folder: Path
) -> None:
    async with staged(log_url, folder) as stage:
        await stage.world.up(stage.world.run())
        held = await stage.open()
        theirs = f"bot-{token()}"
        order = {"symbol": held.symbol, "side": "BUY", "type": "MARKET", "quantity": f"{held.amount:f}"}
        await stage.venue.signed("POST", "/fapi/v1/order", **order, newClientOrderId=theirs)
        plan_id = await stage.decide(held)
        assert (await stage.outcome(plan_id))["outcome"] == "FLAT"
        report = await stage.world.command("verify", "--venue", "--json")
        assert report.code == 0, report
        assert [one["client_order_id"] for one in report.document["foreign"]] == [theirs]
        await stage.venue.signed(
            "POST", "/fapi/v1/order", **order, newClientOrderId=f"{stage.world.order_prefix}{token()}"
        )

        async def violated() -> Done | None:
            found = await stage.world.command("verify", "--venue", "--json")
            return found if found.code == 1 else None

        report = await eventually("verify tells of the order that nobody sent", violated)
        assert "I9" in {check["rule"] for check in report.document["checks"] if check["violations"]}


# One submitter -------------------------------------------------------------------------------------------------------


@alone
async def test_incident_55_of_three_executors_one_submits(log_url: str, folder: Path) -> None:
    """The two others stand by; and a process without the role of an executor never sends, whatever it reads."""
    async with staged(log_url, folder) as stage:
        runs = [stage.world.run() for _ in range(3)]
        stages = stage.world.run("--roles", "intent-executor,apply-layer")
        for run in (*runs, stages):
            await run.says("listening")
        owner = await eventually("a lease", stage.world.log.lease_owner)
        (holder,) = [run for run in runs if run.pid == owner]
        await stage.world.up(holder)
        held = [await stage.open(50 + number) for number in range(6)]
        plans = [await stage.wish(one.symbol) for one in held]
        for plan_id, one in zip(plans, held, strict=True):
            await _flat(stage, plan_id)
            await stage.venue.closed_once(one)
        for run in (*runs, stages):
            orders = [
                line for line in run.told.splitlines() if "client_order_id=" in line and "status=" in line
            ]
            assert len(orders) == (len(held) if run is holder else 0)
        holder.signal(signal.SIGTERM)
        assert await holder.ended() == 0
        more = await stage.open()
        await _flat(stage, await stage.decide(more))
        books = await stage.books()
        assert len(sent(books, more.symbol)) == 1
        assert json.dumps(books.all_placements).count('"newClientOrderId": "sc-') == len(held) + 1
