"""The log forgets: emptied, or set back to an older copy. No plan is executed twice, and none never."""

import contextlib
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from sureclose.fault_points import FaultPoint
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

CRASHED = 137
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


async def killed_on_the_way(world: World) -> None:
    """The executor dies around the record of a comparison, and around a rebuilding; the next one goes on from there."""
    for point in (
        FaultPoint.BEFORE_RECONCILED,
        FaultPoint.AFTER_RECONCILED,
        FaultPoint.BEFORE_ADOPTION,
        FaultPoint.AFTER_ADOPTION,
    ):
        process = world.run(SURECLOSE_CRASH_AT=point)
        assert await process.ended(40) == CRASHED
        await world.log.release()


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


async def sent(world: World, close: Close) -> None:
    """The venue has executed it, whatever the executor knows of that."""

    async def executed() -> bool | None:
        return bool((await world.exchange.records()).effective(close.held.symbol)) or None

    await eventually("the venue has executed it", executed)


async def level(master: Server, replica: Server) -> None:
    """The replica has all that the master has."""

    async def same() -> bool | None:
        mine, its = await master.ask("ROLE"), await replica.ask("ROLE")
        return (its[0] == b"slave" and its[3] == b"connected" and int(its[4]) == int(mine[1])) or None

    await eventually("the replica has caught up", same)


async def reconnected(world: World) -> None:
    """The test's own client after a restart of the server."""
    await world.log._client.connection_pool.disconnect()


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
        await sent(world, caught)
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
        assert process.told.count("continuity_lost") == 1


async def test_a_failover_to_a_replica_that_missed_the_last_second_executes_nothing_twice(
    tmp_path: Path,
) -> None:
    """What was approved before the replica fell behind is unread there, and was executed; what came after it is in our hands."""
    master = Server(tmp_path / "master")
    replica = Server(tmp_path / "replica")
    sentinels = [Server(tmp_path / f"sentinel-{number}", sentinel=True) for number in range(3)]
    try:
        async with deployment(tmp_path, master) as world:
            await replica.start()
            await replica.ask("REPLICAOF", "127.0.0.1", str(master.port))
            for sentinel in sentinels:
                sentinel.watch("log", master.port, down_ms=700, quorum=2)
                await sentinel.start()
            url = "redis+sentinel://" + ",".join(f"127.0.0.1:{one.port}" for one in sentinels) + "/log"
            process = world.run(REDIS__URL=url)
            await world.up(process)
            early = await closes(world, 1)
            for close in early:
                await close.ask(world)
                await close.done(world)
            asked = await closes(world)
            process.signal(signal.SIGSTOP)
            for close in asked:
                await close.ask(world)
            await level(master, replica)
            # From here on the replica hears nothing, and does not know it.
            replica.signal(signal.SIGSTOP)
            assert await master.ask("CLIENT", "KILL", "TYPE", "replica") == 1
            process.signal(signal.SIGCONT)
            for close in asked:
                await close.done(world)
            late = Close(await world.exchange.open())
            await world.exchange.fault("answer_delayed", late.held.symbol, ms=700)
            await late.ask(world)
            await sent(world, late)
            master.kill()
            replica.signal(signal.SIGCONT)
            await process.says("log_reconciled", 40)
            assert "had acknowledged" in await process.says("continuity_lost")
            await world.log.moved(replica.url)
            for close in (*asked, late):
                await close.done(world)
            assert await frozen(world) == {}
            again = Close(await world.exchange.open(200), "0.5")
            await again.ask(world)
            await again.done(world)
            for close in early:
                await close.done(world)
    finally:
        for server in (replica, *sentinels):
            server.kill()


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
            missing = await world.command("reconcile", "--json")
            assert missing.code == 1
            assert missing.document["same"] is False
            named = {order["plan_id"] for order in missing.document["missing"]}
            assert {close.plan_id for close in asked} <= named
            await killed_on_the_way(world)
            process = world.run()
        else:
            await process.says("log_reconciled", 40)
        for close in asked:
            await close.done(world)
        assert await frozen(world) == {}, "the copy has the authority record that was known"
        again = Close(await world.exchange.open(200), "0.5")
        await again.ask(world)
        await again.done(world)
        await old.done(world)
        verified = await world.command("verify", "--venue", "--json")
        assert verified.code == 0, verified
        whole = await world.command("reconcile", "--json")
        assert (whole.code, whole.document["missing"]) == (0, []), whole
