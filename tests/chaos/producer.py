"""Who asks for closes: positions by the exchange's control, decisions and wishes by the streams, symbol after symbol.

What it published it knows: after a lost reply it looks whether the entry is there before it sends it again. Outcomes pace
it, because a position may only be put where nobody is at work any more; nothing is judged by them.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.acceptance.world import Fields, Held, Market, World, decision, now_ms, token
from tests.chaos.plans import Episode, Expiry, Plan, sizes
from tests.faults.judging import outcome_text
from tests.faults.watching import Watch

WISHES: Final = 0.3
"""The share that goes through the whole pipeline."""
AGAIN: Final = 0.15
"""The share that is delivered twice, and of these that is delivered three times."""
EXPIRING: Final = 0.04
"""The share of episodes with an approval that runs out."""
SPLITS: Final = ((), (), ("0.25",), ("0.75",), ("0.25", "0.25"))
"""Parts that come before the close of the rest."""
AT_ONCE: Final = 0.3
"""The share of episodes with parts in which all parts are asked for at the same time, as quantities."""
CLOCK_OFF_MS: Final = 1000
"""The producer's clock is at most so far off. No stamp is older than the position: that a position was opened after a
decision is a reason to leave it alone."""
BETWEEN_S: Final = 0.35
"""From a flat position to the next one: what may lie between two readings of the exchange's clock, so that no fill looks
later than a decision that followed it."""
RETRY_S: Final = 0.05


class Teller:
    """Publishes an entry at least once, whatever happens to the log meanwhile."""

    def __init__(self, world: World) -> None:
        self._prefix = world.log.prefix
        self._client: Any = Redis.from_url(
            world.log.url, decode_responses=True, retry=Retry(NoBackoff(), 0), socket_timeout=5
        )
        self.unanswered = 0

    async def aclose(self) -> None:
        await self._client.aclose()

    async def publish(self, stream: str, fields: Fields) -> None:
        since = now_ms() - 5000
        lost = False
        while True:
            try:
                if not lost or not await self._has(stream, fields, since):
                    await self._client.xadd(self._prefix + stream, fields)
                return
            except RedisError:
                self.unanswered += not lost
                lost = True
                await asyncio.sleep(RETRY_S)

    async def _has(self, stream: str, fields: Fields, since: int) -> bool:
        found = await self._client.xrange(self._prefix + stream, min=since)
        return any(fields.items() <= entry.items() for _, entry in found)


class Producer:
    """All episodes of a run. ``ends_at`` is when no further position is put, by the steady clock."""

    def __init__(
        self, world: World, watch: Watch, teller: Teller, *, seed: int, ends_at: float, patience_s: float
    ) -> None:
        self._world = world
        self._watch = watch
        self._teller = teller
        self._seed = seed
        self._ends_at = ends_at
        self._patience_s = patience_s
        self.episodes: list[Episode] = []
        self.given_up: list[str] = []
        self.ended = 0
        """Plans that have an outcome."""

    async def produce(self, markets: Sequence[Market]) -> None:
        await asyncio.gather(*(self._work(market) for market in markets))

    async def _work(self, market: Market) -> None:
        """One position after the other in one symbol."""
        chance = random.Random(f"producer:{self._seed}:{market.symbol}")
        for size in sizes(market, chance):
            if time.monotonic() >= self._ends_at:
                return
            episode = Episode(market.symbol, size * chance.choice((-1, 1)), now_ms())
            try:
                await self._world.exchange.put(market, episode.put)
                self.episodes.append(episode)
                await self._play(episode, market, chance)
                await asyncio.sleep(BETWEEN_S)
            except AssertionError as error:
                self.given_up.append(f"{market.symbol}: {error}")
                return

    async def _play(self, episode: Episode, market: Market, chance: random.Random) -> None:
        size = abs(episode.put)
        if chance.random() < EXPIRING:
            expiry = chance.choice((Expiry.PAST, Expiry.SOON))
            await self._ask(episode, market, chance, size / 4, expiry=expiry)
        else:
            parts = chance.choice(SPLITS)
            if parts and chance.random() < AT_ONCE:
                shares = [size / 4, size - size / 4]
                await asyncio.gather(*(self._ask(episode, market, chance, share) for share in shares))
                return
            for part in parts:
                left = abs(await self._world.exchange.amount(market.symbol))
                if left:
                    share = left * Decimal(part)
                    fraction = part if chance.random() < 0.5 else ""
                    await self._ask(episode, market, chance, share, fraction=fraction)
        left = abs(await self._world.exchange.amount(market.symbol))
        if left:
            await self._ask(episode, market, chance, left, whole=True)

    async def _ask(
        self,
        episode: Episode,
        market: Market,
        chance: random.Random,
        quantity: Decimal,
        *,
        fraction: str = "",
        whole: bool = False,
        expiry: Expiry = Expiry.NONE,
    ) -> None:
        """Publish, once or more often, and wait for the outcome."""
        now = now_ms()
        plan = Plan(token(), quantity, whole, expiry, now)
        episode.plans.append(plan)
        stamp = max(episode.at, now + chance.randint(-CLOCK_OFF_MS, CLOCK_OFF_MS))
        fields = {"timestamp": str(stamp)}
        if fraction:
            fields |= {"action": "PARTIAL_CLOSE", "fraction": fraction}
        elif not whole:
            fields |= {"action": "PARTIAL_CLOSE", "quantity": f"{quantity:f}"}
        if expiry is not Expiry.NONE:
            off = -5000 if expiry is Expiry.PAST else chance.randint(0, 1500)
            fields["expires_at"] = str(now + off)
        wish = expiry is Expiry.NONE and chance.random() < WISHES
        times = 1
        while times < 3 and chance.random() < AGAIN:
            times += 1
        for _ in range(times):
            await self._publish(episode, market, plan, fields, wish=wish)
        result = await self._watch.outcome(plan.name, self._patience_s)
        plan.outcome = outcome_text(result.fields)
        self.ended += 1

    async def _publish(
        self, episode: Episode, market: Market, plan: Plan, fields: Fields, *, wish: bool
    ) -> None:
        if wish:
            intent = {"intent_id": plan.name, "symbol": market.symbol, "action": "CLOSE", **fields}
            await self._teller.publish("harvest.intent", intent)
        else:
            held = Held(market.symbol, episode.put, market.step)
            await self._teller.publish("apply.result", decision(held, plan.name, **fields))
