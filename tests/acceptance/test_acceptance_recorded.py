"""Every entry that was ever recorded from older producers, on its own stream: fresh, and as old as it is."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.acceptance.world import Fields, Held, Market, World, eventually, now_ms, readers, world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("all_under_way")]

_LINES = Path(__file__).parent.parent / "data" / "recorded-entries.jsonl"
RECORDED: Final[list[dict[str, Any]]] = [json.loads(line) for line in _LINES.read_text().splitlines()]
SENT: Final = [entry for entry in RECORDED if entry["fields"]]
"""An entry without fields can't be written; see the one test that lets a payload be lost."""
STEPS: Final = 500
"""The size of the position that each entry finds: 0.5 ETH, 0.5 BTC, 5 SOL."""
SHARES: Final = {
    "flat intent, fraction 1.0, epoch seconds": "1",
    "later producer: no id, no time": "0.25",
    "plan, close_qty 0.0 means nothing": "1",
    "partial plan, side=CLOSE is no order side": "0.75",
    "the form that PATH 1B was written for": "1",
    "wrapped, payload as JSON, snake case flag": "0.5",
}
"""What each of the closes asks for, read by a person."""


def _short(entry: dict[str, Any]) -> str:
    name: str = entry["stream"].removeprefix("quantum:stream:")
    return name


def _intents(entry: dict[str, Any]) -> str:
    """What the intent executor must read for the entry to be read at all."""
    return "trade.intent" if _short(entry) == "trade.intent" else "harvest.intent"


def _of(intents: str) -> list[dict[str, Any]]:
    """The entries that a deployment reads which takes its intents from there."""
    return [entry for entry in SENT if _intents(entry) == intents]


def _renewed(fields: Fields) -> Fields:
    """The same entry made now: each time in the form in which it was written."""
    iso = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    seconds = str(int(time.time()))
    renewed = {}
    for name, value in fields.items():
        text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", iso, value)
        renewed[name] = seconds if re.fullmatch(r"1[67]\d{8}", text) else text
    return renewed


def _symbol(fields: Fields) -> str | None:
    inside: dict[str, str] = json.loads(fields.get("payload", "{}"))
    return fields.get("symbol") or inside.get("symbol")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployments(
    external_log: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, World]]:
    """One deployment for either stream of intents, each with an exchange of its own."""
    folder = tmp_path_factory.mktemp("recorded")
    async with world(external_log, folder / "h") as harvest, world(external_log, folder / "t") as trade:
        found = {"harvest.intent": harvest, "trade.intent": trade}
        runs = {name: one.run(STREAMS__INTENTS=name) for name, one in found.items()}
        await asyncio.gather(*(found[name].up(run) for name, run in runs.items()))
        yield found


async def _finished(deployment: World, stream: str, entry_id: str, intents: str) -> None:
    await deployment.log.finished(stream, readers(intents)[stream], entry_id)


@pytest.mark.parametrize("recorded", SENT, ids=lambda entry: entry["note"])
async def test_a_recorded_entry_made_now_ends_as_expected(
    deployments: dict[str, World], recorded: dict[str, Any]
) -> None:
    intents, stream = _intents(recorded), _short(recorded)
    deployment = deployments[intents]
    exchange, log = deployment.exchange, deployment.log
    held = await _position(deployment, _symbol(recorded["fields"]))
    before = await exchange.records()
    fields = _renewed(recorded["fields"])
    letters = len(await log.entries("dead.letter"))
    entry_id = await log.add(stream, fields)
    await _finished(deployment, stream, entry_id, intents)
    if recorded["expect"] == "close":
        plan_id = fields.get("plan_id") or await log.plan_of(entry_id, intents)
        outcome = await log.outcome(plan_id)
        assert held is not None
        share = held.share(SHARES[recorded["note"]])
        assert outcome["outcome"] == ("FLAT" if share == held.amount else "REDUCED")
        assert Decimal(outcome["filled_qty"]) == share
        after = await exchange.records()
        new = after.effective(held.symbol)[len(before.effective(held.symbol)) :]
        assert [(order["reduceOnly"], Decimal(order["executedQty"])) for order in new] == [(True, share)]
        assert after.position(held.symbol) == held.amount - share
    else:
        await log.consumed_all(intents=intents)
        after = await exchange.records()
        if held is not None:
            assert after.placements(held.symbol) == before.placements(held.symbol)
            assert after.position(held.symbol) == held.amount
    wanted = [(stream, entry_id, fields)] if recorded["expect"] == "dead_letter" else []
    assert (await _letters(deployment))[letters:] == wanted
    await log.consumed_all(intents=intents)


async def _position(deployment: World, symbol: str | None) -> Held | None:
    """The position that the entry speaks of, put there anew; ``None`` where it names none that is listed."""
    markets = _markets.setdefault(id(deployment), {})
    if symbol is None or symbol == "ARCUSDT":
        return None
    if symbol not in markets:
        markets[symbol] = deployment.exchange.reserve(symbol)
    left = (await deployment.exchange.records()).position(symbol)
    if left:
        return Held(symbol, left, markets[symbol].step)
    return await deployment.exchange.put(markets[symbol], markets[symbol].step * STEPS)


_markets: dict[int, dict[str, Market]] = {}


async def _letters(deployment: World) -> list[tuple[str, str, Fields]]:
    """The dead letters: where each came from, and the entry as it was."""
    found = []
    for _, letter in await deployment.log.entries("dead.letter"):
        assert letter["reason"]
        assert letter["remedy"]
        name = letter["stream"].removeprefix(deployment.log.prefix)
        found.append((name, letter["id"], dict(json.loads(letter["entry"]))))
    return found


# As old as they are ------------------------------------------------------------------------------------------------


def _age(fields: Fields) -> int:
    """When the entry was made, milliseconds; the day of the recording where it doesn't say."""
    said = fields.get("timestamp", "")
    return int(said) * 1000 if said.isdigit() else 1_770_700_000_000


@pytest.mark.parametrize("intents", ["harvest.intent", "trade.intent"])
async def test_recorded_history_is_read_to_its_end_and_closes_nothing(
    external_log: str, tmp_path: Path, intents: str
) -> None:
    """The entries stand on the streams, with the ids of their day, before anybody of ours has ever read them."""
    entries = sorted(_of(intents), key=lambda entry: _age(entry["fields"]))
    async with world(external_log, tmp_path) as deployment:
        exchange, log = deployment.exchange, deployment.log
        held = [
            await exchange.put(market, market.step * STEPS)
            for market in map(exchange.reserve, ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"))
        ]
        ids: dict[str, str] = {}
        for number, entry in enumerate(entries):
            entry_id = f"{_age(entry['fields'])}-{number + 1}"
            ids[entry["note"]] = await log.add(_short(entry), entry["fields"], entry_id)
        deployment.run(STREAMS__INTENTS=intents)
        await log.consumed_all(intents=intents)
        books = await exchange.records()
        assert [books.placements(one.symbol) for one in held] == [[]] * len(held)
        assert [books.position(one.symbol) for one in held] == [one.amount for one in held]
        dead = [
            (_short(entry), ids[entry["note"]], entry["fields"])
            for entry in entries
            if entry["expect"] == "dead_letter"
        ]
        assert await _letters(deployment) == dead
        for entry in entries:
            if entry["expect"] == "close":
                await _refused_as_expired(deployment, entry, ids[entry["note"]], intents)


async def _refused_as_expired(deployment: World, entry: dict[str, Any], entry_id: str, intents: str) -> None:
    """A stale plan is decided SKIP; a stale approval ends as SKIPPED. Neither is silence."""
    log = deployment.log
    if _short(entry) == "apply.result":
        outcome = await log.outcome(entry["fields"]["plan_id"])
        assert (outcome["outcome"], outcome["reason"]) == ("SKIPPED", "expired")
        return
    plan_id = entry["fields"].get("plan_id") or await log.plan_of(entry_id, intents)
    said = [
        fields
        for _, fields in await log.entries("apply.result")
        if fields.get("plan_id") == plan_id and "schema" in fields
    ]
    assert [fields["decision"] for fields in said] == ["SKIP"]
    assert json.loads(said[0]["veto"])["rule"] == "expired"


async def test_an_entry_whose_payload_was_lost_is_one_dead_letter(external_log: str, tmp_path: Path) -> None:
    """The recorded empty one: delivered to somebody who died, then trimmed while it was pending."""
    stream, group = "apply.result", readers()["apply.result"]
    async with world(external_log, tmp_path) as deployment:
        log = deployment.log
        await log.group(stream, group)
        lost = await log.add(stream, {"plan_id": "lost"}, f"{now_ms() - 5000}-0")
        await log.lose(stream, group, lost)
        held = await deployment.exchange.open()
        deployment.run()
        await eventually("a dead letter", lambda: _some_letter(deployment))
        await log.consumed_all()
        assert await _letters(deployment) == [(stream, lost, {})]
        await deployment.exchange.untouched(held)


async def _some_letter(deployment: World) -> bool | None:
    return bool(await deployment.log.entries("dead.letter")) or None
