"""The log forgets: emptied, or set back to an older copy. No plan is executed twice, and none never."""

import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.acceptance.servers import Server
from tests.acceptance.world import (
    Exchange,
    Held,
    World,
    beside,
    decision,
    eventually,
    exchange,
    judged,
    token,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

ACCOUNT = "sureclose:paper:main:"


class Close:
    """A close that was decided, what it asks for, and what the exchange must show in the end."""

    def __init__(self, held: Held, part: str = "") -> None:
        self.held = held
        self.plan_id = token()
        self.more = {"fraction": part} if part else {}
        self.quantity = held.share(part) if part else None
        self.outcome = "REDUCED" if part else "FLAT"

    async def ask(self, world: World) -> None:
        await world.log.add("apply.result", decision(self.held, self.plan_id, **self.more))

    async def done(self, world: World, seconds: float = 40) -> None:
        """Its outcome is told, and by the exchange's books it was closed once and by the right amount."""
        outcome = await world.log.outcome(self.plan_id, seconds)
        books = await world.exchange.records()
        order = judged(books, self.held, self.quantity)
        assert outcome["outcome"] == self.outcome, outcome
        assert outcome["executed"] == "True"
        assert Decimal(outcome["filled_qty"]) == Decimal(order["executedQty"])
        assert abs(Decimal(outcome["position_before"])) == abs(self.held.amount)


@contextlib.asynccontextmanager
async def deployment(folder: Path, server: Server) -> AsyncIterator[World]:
    await server.start()
    try:
        async with exchange(folder) as opened, beside(opened, server.url, folder) as world:
            yield world
    finally:
        server.kill()


async def closes(world: World, count: int = 2) -> list[Close]:
    """As many full closes, and as many parts."""
    venue: Exchange = world.exchange
    whole = [Close(await venue.open()) for _ in range(count)]
    return whole + [Close(await venue.open(200), part) for part in ("0.5", "0.25")[:count]]


async def reconnected(world: World) -> None:
    """The test's own client after a restart of the server."""
    await world.log._client.connection_pool.disconnect()  # noqa: SLF001


async def frozen(world: World) -> dict[str, str]:
    client = world.log._client
    found: dict[str, str] = await client.hgetall(world.log.prefix + ACCOUNT + "freeze")
    return found


async def unfreeze(world: World) -> None:
    """What a person does after having looked: a new authority record."""
    client, prefix = world.log._client, world.log.prefix + ACCOUNT
    revision = int((await client.hgetall(prefix + "freeze"))["revision"]) + 1
    await client.hset(prefix + "grant", mapping={"component": "execution_service", "revision": str(revision)})
    await client.delete(prefix + "freeze")


async def test_a_log_emptied_under_a_living_executor_is_compared_with_the_venue_and_frozen(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path / "log")
    async with deployment(tmp_path, server) as world:
        process = world.run()
        await world.up(process)
        before = await closes(world)
        for close in before:
            await close.ask(world)
        for close in before:
            await close.done(world)
        # One is on the wire when the log forgets: executed, and the answer still to come.
        caught = Close(await world.exchange.open())
        await world.exchange.fault("answer_delayed", caught.held.symbol, ms=1500)
        await caught.ask(world)

        async def executed() -> bool | None:
            return bool((await world.exchange.records()).effective(caught.held.symbol)) or None

        await eventually("the venue has executed it", executed)
        await server.ask("FLUSHALL")
        await process.says("log_reconciled")
        await caught.done(world)
        assert "LOG_LOST" in (await frozen(world))["kind"]
        late = Close(await world.exchange.open())
        await late.ask(world)
        assert (await world.log.outcome(late.plan_id))["outcome"] == "SKIPPED"
        await world.exchange.untouched(late.held)
        # Whoever had published them says all of it again.
        for close in before:
            await close.ask(world)
        for close in before:
            await close.done(world)
        await unfreeze(world)
        again = Close(await world.exchange.open(200), "0.25")
        await again.ask(world)
        await again.done(world)
        for close in (*before, caught):
            judged(await world.exchange.records(), close.held, close.quantity)
        assert process.told.count("log_lost") == 1


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "dead"])
async def test_a_log_set_back_to_an_older_copy_executes_nothing_twice(tmp_path: Path, alive: bool) -> None:
    """The copy still has the approvals, unread; the venue has what became of them."""
    server = Server(tmp_path / "log")
    async with deployment(tmp_path, server) as world:
        first = world.run()
        await world.up(first)
        old = Close(await world.exchange.open())
        await old.ask(world)
        await old.done(world)
        first.kill()
        asked = await closes(world)
        for close in asked:
            await close.ask(world)
        await server.copied(tmp_path / "copy")
        await reconnected(world)
        process = world.run()
        await world.up(process)
        for close in asked:
            await close.done(world)
        if not alive:
            process.kill()
        await server.restored(tmp_path / "copy")
        await reconnected(world)
        assert await world.log.outcomes(asked[0].plan_id) == []
        if not alive:
            process = world.run()
        await process.says("log_reconciled", 40)
        for close in asked:
            await close.done(world)
        assert await frozen(world) == {}, "the copy has the authority record that was known"
        again = Close(await world.exchange.open(200), "0.5")
        await again.ask(world)
        await again.done(world)
        await old.done(world)
