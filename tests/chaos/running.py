"""One run from start to verdict."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from tests.acceptance.world import QUICK, Market, Records, eventually
from tests.chaos.deployment import Deployment, deployed
from tests.chaos.diary import Diary
from tests.chaos.judge import judge
from tests.chaos.monkeys import Monkeys
from tests.chaos.producer import Producer, Teller
from tests.chaos.report import Report
from tests.faults.storm import keep_journal
from tests.faults.watching import watching

SYMBOLS: Final = 50
CHEAPEST: Final = Decimal("0.01")
"""What a step may be worth at most: the largest position is fifty thousand steps."""
QUIET_S: Final = (int(QUICK["VENUE__RECV_WINDOW_MS"]) + int(QUICK["EXECUTION__MARGIN_MS"])) / 1000 + 0.8
"""Without a new order or trade at the exchange, before anything is counted: longer than window and margin."""
PATIENCE_S: Final = 180.0
"""For one outcome. Outages overlap and may follow each other for a minute, on a busy machine for longer."""
GAP_S: Final = 1.5
RATE: Final = Decimal("0.01")


async def run(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    gap_s: float = GAP_S,
    rate: Decimal = RATE,
    patience_s: float = PATIENCE_S,
    aloud: bool = False,
) -> Report:
    """Positions are put for so many seconds; then the storm ends, what is open is waited for, and all is counted."""
    began = time.monotonic()
    diary = Diary(folder / "acts.jsonl", seed)
    async with (
        deployed(folder, diary, seed=seed) as deployment,
        watching(deployment.world, journal=False) as watch,
    ):
        teller = Teller(deployment.world)
        producer = Producer(
            deployment.world,
            watch,
            teller,
            seed=seed,
            ends_at=time.monotonic() + seconds,
            patience_s=patience_s,
        )
        await deployment.arm(rate)
        monkeys = Monkeys(deployment, seed, gap_s, lambda: producer.ended)
        helpers = [asyncio.create_task(monkeys.rage(), name="monkeys")]
        if aloud:
            helpers.append(asyncio.create_task(_tell(producer, diary), name="progress"))
        producing = asyncio.create_task(producer.produce(_markets(deployment)), name="producer")
        try:
            await _unless_failed(asyncio.sleep(seconds), *helpers, deployment.tending)
            helpers[0].cancel()
            strikes = await deployment.strikes()
            await monkeys.rest()
            await _unless_failed(producing, deployment.tending)
            records = await _quiet(deployment)
        finally:
            for helper in (*helpers, producing):
                helper.cancel()
            await asyncio.gather(*helpers, producing, return_exceptions=True)
            await teller.aclose()
        fates: Counter[str] = Counter()
        for replica in deployment.replicas:
            fates.update(replica.link.fates)
        judged = judge(producer.episodes, records, deployment.clock_steps)
        if judged.violations or producer.given_up:
            await keep_journal(deployment.world, folder / "journal.jsonl")
        return Report(
            seed=seed,
            seconds=round(seconds),
            took_s=round(time.monotonic() - began, 1),
            judged=judged,
            given_up=producer.given_up,
            acts=dict(sorted(diary.counts.items())),
            lines={**dict(sorted(fates.items())), "unanswered to the producer": teller.unanswered},
            strikes=strikes,
        )


async def _unless_failed(
    awaited: Coroutine[None, None, None] | asyncio.Task[None], *helpers: asyncio.Task[None]
) -> None:
    """Until it is done; a helper that ends before has failed."""
    task = asyncio.ensure_future(awaited)
    done, _ = await asyncio.wait([task, *helpers], return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()
    assert task in done, "a helper ended too early"


def _markets(deployment: Deployment) -> Sequence[Market]:
    """Fifty in which a large position is worth little."""
    cheap = [one for one in deployment.world.exchange._free if one.step * one.price <= CHEAPEST]
    assert len(cheap) >= SYMBOLS, len(cheap)
    return cheap[:SYMBOLS]


async def _quiet(deployment: Deployment) -> Records:
    """The records, once no order of anybody moved for a while."""
    seen: list[object] = []
    since = time.monotonic()

    async def still() -> Records | None:
        nonlocal seen, since
        try:
            books = await deployment.world.exchange.records()
        except TimeoutError:
            # Thousands of orders take a busy machine some seconds to list; they are asked for again.
            return None
        state = [(one["orderId"], one["status"], one["executedQty"]) for one in books._books["orders"]]
        if state != seen:
            seen, since = list(state), time.monotonic()
        if time.monotonic() - since >= QUIET_S:
            return books
        await asyncio.sleep(0.3)
        return None

    return await eventually("the exchange is quiet", still, PATIENCE_S)


async def _tell(producer: Producer, diary: Diary) -> None:
    while True:
        await asyncio.sleep(5)
        asked = sum(len(episode.plans) for episode in producer.episodes)
        sys.stderr.write(f"{asked} asked for, {producer.ended} ended, {diary.counts.total()} acts\n")
