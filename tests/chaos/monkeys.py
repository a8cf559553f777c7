"""Who breaks things: one act after the other, drawn from a deck that a seed has shuffled."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Final

from tests.chaos.deployment import Deployment, Replica
from tests.chaos.link import Weather
from tests.faults.staging import control

CLOCK_OFF_MS: Final = 150
"""The exchange's clock is at most so far off: less than the margin, which is what may be assumed of clocks."""
LONGEST_STOP_S: Final = 8.0
"""Longer than the lease and the window of an order."""
LONGEST_LOG_STOP_S: Final = 2.0
PATIENT: Final = 0.7
"""The share of kills and stops that wait for work to be done first."""
WORK: Final = 10
LONGEST_WAIT_S: Final = 10.0
LONGEST_PAUSE_S: Final = 1.5
"""Until who was killed is started again."""

Act = Callable[["Monkeys"], Coroutine[None, None, None]]


class Monkeys:
    """Acts overlap: a replica is killed while the log stands still.

    Who is dead can't be killed, so most kills wait until some closes have ended since the last one; ``ended`` says how many
    have. The order of the acts depends on the seed alone.
    """

    def __init__(self, deployment: Deployment, seed: int, gap_s: float, ended: Callable[[], int]) -> None:
        self.deployment = deployment
        self._ended = ended
        self._ended_at_kill = 0
        self.chance = random.Random(f"monkeys:{seed}")
        self._gap_s = gap_s
        self._deck: list[str] = []
        self._acts: list[asyncio.Task[None]] = []

    async def rage(self) -> None:
        """For ever; each act of the deck comes once before the weights count."""
        self._deck = list(ACTS)
        self.chance.shuffle(self._deck)
        while True:
            await asyncio.sleep(self.chance.uniform(0.3, 1.7) * self._gap_s)
            if not self._deck:
                self._deck = [name for name, (weight, _) in ACTS.items() for _ in range(weight)]
                self.chance.shuffle(self._deck)
            name = self._deck.pop()
            if name.startswith(("kill", "stop")) and self.chance.random() < PATIENT:
                await self._work_is_done()
            act: asyncio.Task[None] = asyncio.create_task(ACTS[name][1](self))
            self._acts.append(act)

    async def _work_is_done(self) -> None:
        """Some closes have ended since the last kill that waited, or it is time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT_S):
                while self._ended() < self._ended_at_kill + WORK:
                    await asyncio.sleep(0.05)
        self._ended_at_kill = self._ended()

    async def rest(self) -> None:
        """What is under way ends; nothing stays stopped, lossy or faulty, and the clock stays where it is.

        Raises what an act failed with: an act that was not done proves nothing.
        """
        await asyncio.gather(*self._acts)
        for replica in self.deployment.replicas:
            replica.link.calm()
        await control(self.deployment.world.exchange, "DELETE", "faults")

    def pause(self) -> float:
        return self.chance.uniform(0, LONGEST_PAUSE_S)

    def note(self, act: str, **facts: object) -> None:
        self.deployment.diary.note(act, **facts)

    def anyone(self) -> Replica:
        return self.chance.choice(self.deployment.replicas)


async def _kill_one(monkeys: Monkeys) -> None:
    replica, pause = monkeys.anyone(), monkeys.pause()
    monkeys.note("kill a replica", replica=replica.number, pause_s=pause)
    monkeys.deployment.kill(replica, pause)


async def _kill_leader(monkeys: Monkeys) -> None:
    pause = monkeys.pause()
    replica = await monkeys.deployment.leader() or monkeys.anyone()
    monkeys.note("kill the leader", replica=replica.number, pause_s=pause)
    monkeys.deployment.kill(replica, pause)


async def _kill_all(monkeys: Monkeys) -> None:
    pauses = [monkeys.pause() for _ in monkeys.deployment.replicas]
    monkeys.note("kill all replicas", pauses_s=pauses)
    for replica, pause in zip(monkeys.deployment.replicas, pauses, strict=True):
        monkeys.deployment.kill(replica, pause)


async def _kill_log(monkeys: Monkeys) -> None:
    pause = monkeys.pause()
    monkeys.note("kill the log", pause_s=pause)
    monkeys.deployment.kill_log(pause)


async def _kill_everything(monkeys: Monkeys) -> None:
    pauses = [monkeys.pause() for _ in monkeys.deployment.replicas]
    log_pause = monkeys.pause()
    monkeys.note("kill everything", pauses_s=pauses, log_pause_s=log_pause)
    monkeys.deployment.kill_log(log_pause)
    for replica, pause in zip(monkeys.deployment.replicas, pauses, strict=True):
        monkeys.deployment.kill(replica, pause)


async def _stop(monkeys: Monkeys, act: str, replica: Replica) -> None:
    seconds = monkeys.chance.uniform(0.2, LONGEST_STOP_S)
    monkeys.note(act, replica=replica.number, seconds=seconds)
    process = monkeys.deployment.stop(replica)
    if process is not None:
        await asyncio.sleep(seconds)
        monkeys.deployment.resume(replica, process)


async def _stop_one(monkeys: Monkeys) -> None:
    await _stop(monkeys, "stop a replica", monkeys.anyone())


async def _stop_leader(monkeys: Monkeys) -> None:
    await _stop(monkeys, "stop the leader", await monkeys.deployment.leader() or monkeys.anyone())


async def _stop_log(monkeys: Monkeys) -> None:
    seconds = monkeys.chance.uniform(0.1, LONGEST_LOG_STOP_S)
    monkeys.note("stop the log", seconds=seconds)
    await monkeys.deployment.stop_log(seconds)


def _weather(weather: Weather) -> Act:
    async def act(monkeys: Monkeys) -> None:
        seconds, of_leader = monkeys.chance.uniform(0.5, 4), monkeys.chance.random() < 0.6
        replica = (await monkeys.deployment.leader() if of_leader else None) or monkeys.anyone()
        monkeys.note(f"{weather} line", replica=replica.number, seconds=seconds)
        replica.link.turns(weather)
        await asyncio.sleep(seconds)
        replica.link.turns(Weather.FAIR)

    return act


async def _cut(monkeys: Monkeys) -> None:
    replica = monkeys.anyone()
    monkeys.note("cut line", replica=replica.number)
    replica.link.cut()


async def _step_clock(monkeys: Monkeys) -> None:
    offset = monkeys.chance.randint(-CLOCK_OFF_MS, CLOCK_OFF_MS)
    monkeys.note("set the venue's clock", offset_ms=offset)
    await monkeys.deployment.set_venue_clock(offset)


def _venue(act: str, path: str, **body: object) -> Act:
    async def doing(monkeys: Monkeys) -> None:
        monkeys.note(act, **body)
        await control(monkeys.deployment.world.exchange, "POST", path, dict(body) or None)

    return doing


ACTS: Final[dict[str, tuple[int, Act]]] = {
    "kill a replica": (4, _kill_one),
    "kill the leader": (6, _kill_leader),
    "kill all replicas": (2, _kill_all),
    "kill the log": (3, _kill_log),
    "kill everything": (2, _kill_everything),
    "stop a replica": (2, _stop_one),
    "stop the leader": (4, _stop_leader),
    "stop the log": (2, _stop_log),
    "lossy line": (5, _weather(Weather.LOSSY)),
    "slow line": (2, _weather(Weather.SLOW)),
    "stale line": (4, _weather(Weather.STALE)),
    "mute line": (2, _weather(Weather.MUTE)),
    "cut line": (3, _cut),
    "set the venue's clock": (4, _step_clock),
    "silent user stream": (2, _venue("silent user stream", "faults", fault="stream_silent", ms=3000)),
    "ban": (1, _venue("ban", "faults", fault="banned", count=1, ms=2000)),
    "delete listen keys": (1, _venue("delete listen keys", "listen-key/delete")),
    "expire listen keys": (1, _venue("expire listen keys", "listen-key/expire")),
}
"""Each act with its weight."""
