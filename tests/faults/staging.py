"""Plays one scenario in a world of real processes, and measures it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from tests.acceptance.world import Exchange, Fields, Held, Market, Records, World, decision, now_ms, token
from tests.faults.believing import beliefs_of
from tests.faults.judging import Appeared, Claim, Story, Wanted, beliefs, effects, outcome_text
from tests.faults.scenario import (
    Ask,
    By,
    Control,
    Elapse,
    Ended,
    Fault,
    Foreign,
    Hedge,
    Look,
    Put,
    Resting,
    Scenario,
    Step,
    Until,
)
from tests.faults.watching import Result, Watch

QUIET_MS: Final = 300
"""Beyond the window of an order: how long after the last outcome the books must stay as they are."""
_ACTIONS: Final = {"0.25": "PARTIAL_25", "0.5": "PARTIAL_50", "0.75": "PARTIAL_75"}
_AWAY: Final = Decimal("0.03")
_TICK_OF: Final = Decimal("0.005")


@dataclass(frozen=True)
class Shown:
    """What one scenario came to: the three columns, and all that is wrong with it."""

    scenario: Scenario
    saw: str
    believed: str
    took_ms: int
    since_order: bool
    """Whether the time is counted from the first byte of an order at the venue, else from the decision."""
    wrong: tuple[str, ...]
    trace: str
    """Everything a person needs to find the mistake."""


@dataclass
class Stage:
    """A scenario under way."""

    world: World
    watch: Watch
    scenario: Scenario
    market: Market
    held: Held
    window_ms: int
    appeared: list[Appeared] = field(default_factory=list)
    plans: dict[str, str] = field(default_factory=dict)
    commands: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    asked_at: int = 0
    hedge: bool = False
    looked: Fields = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def venue(self) -> Exchange:
        return self.world.exchange

    @property
    def symbol(self) -> str:
        return self.held.symbol


async def play(
    world: World, watch: Watch, scenario: Scenario, settled: Callable[[Held], Awaitable[None]] | None = None
) -> Shown:
    """All steps, then all outcomes, then whatever else has to settle, then quiet, then the verdict."""
    market = _market(world.exchange, scenario)
    held = Held(market.symbol, market.step * scenario.held, market.step)
    window = int({**world._more}.get("VENUE__RECV_WINDOW_MS", "2000"))
    stage = Stage(world, watch, scenario, market, held, window)
    if not any(isinstance(step, Hedge) for step in scenario.steps[:1]):
        await _put(stage, scenario.held)
    trouble: list[str] = []
    try:
        for step in scenario.steps:
            await _do(stage, step)
        for end in scenario.ends:
            await _ended(stage, end.plan)
        if settled is not None:
            await settled(held)
        await asyncio.sleep((window + QUIET_MS) / 1000)
    except AssertionError as error:
        trouble.append(str(error).splitlines()[0])
    finally:
        for command in stage.commands.values():
            command.cancel()
    return await _shown(stage, trouble)


def _market(venue: Exchange, scenario: Scenario) -> Market:
    """A market that nobody used before, of the sort that the scenario needs."""
    free = venue._free
    worth: dict[str, Any] = {
        "any": lambda one: one.step * one.price <= 100,
        "tradable": lambda one: 1 <= one.step * one.price <= 100,
        "cheap": lambda one: one.step * one.price < Decimal("0.001"),
    }
    market = next(one for one in reversed(free) if worth[scenario.market](one))
    free.remove(market)
    return market


# Steps -------------------------------------------------------------------------------------------------------------


async def _do(stage: Stage, step: Step) -> None:
    match step:
        case Fault():
            stage.faults.append(step)
            await control(stage.venue, "POST", "faults", step.request(stage.symbol))
        case Ask():
            await _ask(stage, step)
        case Look():
            updated = await stage.venue.update_time(stage.symbol)
            stage.looked = {
                "position_amt": f"{stage.held.amount:f}",
                "position_update_time": str(updated),
            }
        case Foreign():
            await _foreign(stage, step)
        case Resting():
            await _rest(stage, step)
        case Put():
            await _put(stage, step.steps)
        case Hedge():
            await stage.venue.signed(
                "POST", "/fapi/v1/positionSide/dual", dualSidePosition=str(step.on).lower()
            )
            stage.hedge = step.on
        case Control():
            about = {"symbol": stage.symbol} if step.about_symbol else {}
            await control(stage.venue, "POST", step.path, {**about, **step.body})
        case Until():
            await _until(stage, step)
        case Ended():
            await _ended(stage, step.plan)
        case Elapse():
            await asyncio.sleep(step.ms / 1000)


async def control(venue: Exchange, method: str, path: str, body: Any = None) -> Any:
    """An action of the exchange's control API."""
    return await venue._json(method, f"/paper/v1/{path}", body)


async def _put(stage: Stage, steps: int) -> None:
    amount = stage.market.step * steps
    await stage.venue.put(stage.market, amount)
    side = "BOTH" if not stage.hedge else "LONG" if steps > 0 else "SHORT"
    stage.appeared.append(Appeared(now_ms() if stage.appeared else 0, side, amount))


async def _ask(stage: Stage, ask: Ask) -> None:
    stage.asked_at = stage.asked_at or now_ms()
    log = stage.world.log
    fields = _asked(stage, ask)
    if ask.seen:
        fields |= stage.looked
    if ask.aged_s:
        fields["timestamp"] = str(now_ms() // 1000 - ask.aged_s)
    if ask.by is By.PERSON:
        stage.commands[ask.plan] = asyncio.create_task(_person(stage, ask))
        return
    if ask.by is By.WISH:
        wish = {"symbol": stage.symbol, "timestamp": str(now_ms()), **fields}
        entries = [await log.add("harvest.intent", wish) for _ in range(ask.times)]
        stage.plans[ask.plan] = await log.plan_of(entries[0])
        return
    plan_id = stage.plans.setdefault(ask.plan, token())
    for _ in range(ask.times):
        await log.add("apply.result", decision(stage.held, plan_id, **fields))


def _asked(stage: Stage, ask: Ask) -> Fields:
    """How much, on which side, and until when, as producers write it."""
    fields = {"action": "CLOSE"}
    if ask.quantity:
        fields = {"action": "PARTIAL_CLOSE", "quantity": f"{stage.market.step * ask.quantity:f}"}
    elif ask.part != "1":
        fields = {"action": _ACTIONS.get(ask.part, "PARTIAL_CLOSE"), "fraction": ask.part}
    if ask.side:
        fields["position_side"] = ask.side
    if ask.expires_ms:
        fields["expires_at"] = str(now_ms() + ask.expires_ms)
    return fields


async def _person(stage: Stage, ask: Ask) -> str:
    """The plan of ``sureclose close``, once the command has ended."""
    more = [] if ask.part == "1" else ["--fraction", ask.part]
    done = await stage.world.command("close", stage.symbol, "--wait", "--json", *more)
    return str(json.loads(done.out)["plan_id"])


async def _foreign(stage: Stage, step: Foreign) -> None:
    long = stage.held.amount > 0
    side = "BUY" if long == step.adds else "SELL"
    parameters = {"reduceOnly": "true"} if not step.adds and step.reduce_only else {}
    await stage.venue.signed(
        "POST",
        "/fapi/v1/order",
        symbol=stage.symbol,
        side=side,
        type="MARKET",
        quantity=f"{stage.market.step * step.steps:f}",
        **parameters,
    )


async def _rest(stage: Stage, step: Resting) -> None:
    """Three percent away: inside the band, and out of reach of a price that hardly moves."""
    away = 1 + _AWAY if stage.held.amount > 0 else 1 - _AWAY
    price = f"{_on_tick(await _mark(stage), away):f}"
    order = {"symbol": stage.symbol, "side": stage.held.closing_side}
    quantity = f"{stage.market.step * step.steps:f}"
    if step.type == "LIMIT":
        order |= {"type": "LIMIT", "timeInForce": "GTC", "quantity": quantity, "price": price}
        await stage.venue.signed("POST", "/fapi/v1/order", **order, reduceOnly="true")
        return
    stop = step.type.startswith("STOP") == (stage.held.amount > 0)
    trigger = _on_tick(await _mark(stage), 1 - _AWAY if stop else 1 + _AWAY)
    order |= {"algoType": "CONDITIONAL", "type": step.type, "triggerPrice": f"{trigger:f}"}
    order |= (
        {"closePosition": "true"} if step.close_position else {"quantity": quantity, "reduceOnly": "true"}
    )
    await stage.venue.signed("POST", "/fapi/v1/algoOrder", **order)


async def _mark(stage: Stage) -> Decimal:
    found = await stage.venue._json("GET", f"/fapi/v1/premiumIndex?symbol={stage.symbol}")
    return Decimal(found["markPrice"])


def _on_tick(price: Decimal, factor: Decimal) -> Decimal:
    """As coarse as the price itself is written in the catalogue of made-up contracts: four significant digits less one."""
    wanted = price * factor
    tick = Decimal(1).scaleb(wanted.adjusted() - 2)
    return (wanted / tick).to_integral_value(ROUND_DOWN) * tick


async def _until(stage: Stage, step: Until) -> None:
    def holds(books: Records) -> bool:
        story = Story(books, stage.symbol, ())
        return len(story.sent if step.what == "arrived" else story.effective) >= step.count

    what = f"{step.count} orders {step.what}"
    await stage.watch.until(what, holds, stage.scenario.patience_s)


async def _ended(stage: Stage, plan: str) -> Result:
    if plan in stage.commands:
        async with asyncio.timeout(stage.scenario.patience_s):
            stage.plans[plan] = await stage.commands.pop(plan)
    return await stage.watch.outcome(stage.plans[plan], stage.scenario.patience_s)


# The verdict -------------------------------------------------------------------------------------------------------


async def _shown(stage: Stage, trouble: list[str]) -> Shown:
    scenario, watch = stage.scenario, stage.watch
    story = Story(await watch.books(), stage.symbol, stage.appeared)
    facts = {name: watch.facts(plan_id) for name, plan_id in stage.plans.items()}
    results = {name: watch.results(plan_id) for name, plan_id in stage.plans.items()}
    claims = [
        Claim(
            plan=end.plan,
            outcomes=end.outcomes,
            filled=None if end.filled is None else stage.market.step * end.filled,
            results=[result.fields for result in results.get(end.plan, [])],
            last_record=next((fact["hash"] for fact in reversed(facts.get(end.plan, []))), ""),
        )
        for end in scenario.ends
    ]
    wrong = [*trouble, *effects(story, _wanted(stage)), *beliefs(story, claims), *await _unstruck(stage)]
    began = min((one["received_ns"] // 1_000_000 for one in story.sent), default=0)
    ended = max((result.at for found in results.values() for result in found), default=0)
    since = began or stage.asked_at
    return Shown(
        scenario=scenario,
        saw=_saw(stage, story),
        believed="; ".join(
            (f"{name}: " if len(facts) > 1 else "") + beliefs_of(found) for name, found in facts.items()
        ),
        took_ms=max(0, ended - since),
        since_order=bool(began),
        wrong=tuple(wrong),
        trace=_trace(stage, story, facts, results),
    )


def _wanted(stage: Stage) -> Wanted:
    scenario, step = stage.scenario, stage.market.step
    left = {"LONG" if stage.hedge else "BOTH": step * scenario.left}
    if scenario.left_short is not None:
        left["SHORT"] = step * scenario.left_short
    return Wanted(step * scenario.filled, left, scenario.effective, scenario.least_sent)


async def _unstruck(stage: Stage) -> list[str]:
    """Faults that are still armed and never acted: the scenario did not show what it says."""
    armed = (await control(stage.venue, "GET", "faults"))["armed"]
    wrong = []
    for fault in stage.faults:
        wanted = fault.request(stage.symbol)
        for one in armed:
            same = one["fault"] == fault.name and one["match"] == wanted["match"]
            if same and fault.must_strike and not one["struck"]:
                wrong.append(f"the fault {fault.name} never struck")
    return wrong


def _saw(stage: Stage, story: Story) -> str:
    """The venue's column. Amounts are shares of the position that was there, so that they don't depend on the symbol."""
    whole = sum((abs(one.amount) for one in stage.appeared), Decimal(0))
    refused = len(story.sent) - len(story.own)
    parts = [f"{len(story.sent)} received, {len(story.own)} accepted, {len(story.effective)} effective"]
    if story.executed:
        parts.append(f"executed {_share(story.executed, whole)}")
    parts.append(f"left {_share(sum((abs(one) for one in story.positions.values()), Decimal(0)), whole)}")
    return "; ".join(parts) if refused >= 0 else "; ".join(parts) + "; more accepted than received"


def _share(amount: Decimal, whole: Decimal) -> str:
    if not amount:
        return "0"
    if amount == whole:
        return "all"
    return f"{amount / whole * 100:.0f} %"


def _trace(
    stage: Stage,
    story: Story,
    facts: Mapping[str, list[dict[str, Any]]],
    results: Mapping[str, list[Result]],
) -> str:
    lines = [
        f"scenario: {stage.scenario.name}",
        f"symbol {stage.symbol} held {stage.held.amount} plans {stage.plans}",
    ]
    lines += [
        f"  result {name}: {result.at} {outcome_text(result.fields)} {result.fields}"
        for name, found in results.items()
        for result in found
    ]
    lines += [f"  journal {name}: {json.dumps(fact)}" for name, found in facts.items() for fact in found]
    lines += [f"  request: {json.dumps(one)}" for one in story.sent]
    lines += [f"  order: {json.dumps(one)}" for one in story.orders.values()]
    lines += [f"  trade: {json.dumps(one)}" for one in story.trades]
    lines += [f"  positions: {story.positions}", f"  run log: {[str(run.err) for run in stage.world.runs]}"]
    return "\n".join(lines)
