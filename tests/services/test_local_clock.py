"""A whole process whose wall clock is wrong, and is set while it runs, closes what it should and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sureclose.cli.options import Options
from sureclose.cli.session import opened
from sureclose.operate import running
from sureclose.operate.session import Session
from sureclose.services.settings import Role
from sureclose.streams.wire import Wire, texts
from tests.streams.raw import add

FIVE_MINUTES = 300_000
MAX_AGE = 60_000
POSITIONS = '["ETHUSDT=0.5@2400", "BTCUSDT=-0.010@64000"]'


class Wall:
    """The wall clock of this process, set at will; the log and the exchange have clocks that are right."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._right = time.time_ns
        self.off_ms = 0
        monkeypatch.setattr(time, "time_ns", lambda: self._right() + self.off_ms * 1_000_000)

    def right_ms(self) -> int:
        return self._right() // 1_000_000


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, log_url: str, log_prefix: str, tmp_path: Path) -> Options:
    monkeypatch.chdir(tmp_path)
    wanted = {
        "REDIS__URL": log_url,
        "STREAMS__PREFIX": log_prefix,
        "DATA__DIR": str(tmp_path / "data"),
        "HTTP__PORT": "0",
        "PAPER__POSITIONS": POSITIONS,
    }
    for name, value in wanted.items():
        monkeypatch.setenv(f"SURECLOSE__{name}", value)
    return Options(files=(), verbose=False)


@asynccontextmanager
async def process(options: Options) -> AsyncIterator[Session]:
    stop = asyncio.Event()
    async with opened(options, "run", may_start=True) as session:
        task = asyncio.create_task(
            running.run(
                session, tuple(role for role in Role if role is not Role.SAFETY), stop, accept_everysec=False
            )
        )
        try:
            yield session
        finally:
            stop.set()
            assert await task == 0


async def results(session: Session, count: int) -> dict[str, str]:
    """The outcome of each plan, once there are that many."""
    stream = session.streams.prefix + "execution.result"
    async with asyncio.timeout(20), session.log.reader() as client:
        reader: Wire = client
        while True:
            reply = await reader.execute_command(b"XRANGE", stream, "-", "+")
            told = [texts(fields) for _, fields in reply]
            if len(told) >= count:
                return {fields["plan_id"]: fields["outcome"] for fields in told}
            await reader.execute_command(
                b"XREAD", b"BLOCK", 500, b"STREAMS", stream, reply[-1][0] if reply else "0"
            )


def decision(symbol: str, plan_id: str, stamp: int) -> dict[str, str | bytes]:
    return {
        "plan_id": plan_id,
        "symbol": symbol,
        "decision": "CLOSE",
        "approved": "True",
        "executed": "False",
        "timestamp": str(stamp),
    }


@pytest.mark.parametrize("step", [FIVE_MINUTES, -FIVE_MINUTES])
async def test_approvals_are_as_old_as_the_log_says_whatever_the_wall_clock_says(
    wall: Wall, configured: Options, log_prefix: str, step: int
) -> None:
    wall.off_ms = step
    async with process(configured) as session:
        approvals = f"{log_prefix}apply.result"
        await add(session.log, approvals, decision("BTCUSDT", "wrong from the start", wall.right_ms()))
        await results(session, 1)
        wall.off_ms = -step
        too_old = wall.right_ms() - MAX_AGE - 5_000
        await add(session.log, approvals, decision("ETHUSDT", "stale", too_old))
        assert (await results(session, 2))["stale"] == "SKIPPED"
        wish = {
            "symbol": "ETHUSDT",
            "action": "CLOSE",
            "percentage": "1.0",
            "timestamp": str(wall.right_ms()),
        }
        await add(session.log, f"{log_prefix}harvest.intent", dict(wish))
        outcomes = await results(session, 3)
        assert outcomes.pop("stale") == "SKIPPED"
        assert set(outcomes.values()) == {"FLAT"}
        assert await session.venue.positions() == []
        assert not await session.wire.execute_command(b"EXISTS", f"{log_prefix}dead.letter")
        written = [body for plan in outcomes for body in await _bodies(session, plan)]
        assert all(abs(at - wall.right_ms()) < 60_000 for at in written)


async def _bodies(session: Session, plan_id: str) -> list[int]:
    """When each record of the plan was made, by its own account."""
    loaded = await session.journal.load(plan_id)
    assert loaded is not None
    return [body.at for body in loaded.bodies]
