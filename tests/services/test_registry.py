"""The registry on a real log: who runs, who stopped, and how many are remembered."""

import asyncio

import msgspec

from sureclose.domain.components import Facts, Presence
from sureclose.journal.keys import Keys
from sureclose.services.authority.registry import KEPT_MS, MOST, Registry, announced, surplus
from sureclose.streams.connection import Log
from sureclose.streams.wire import Wire

NOW = 1_700_000_000_000
ROLES = ("intent-executor", "execution")


def registry(wire: Wire, keys: Keys, worker: str = "h:7:ab", now: int = NOW) -> Registry:
    return Registry(
        wire,
        keys,
        ROLES,
        worker,
        started_at=NOW - 9,
        facts=lambda role: Facts(lease="held") if role == "execution" else Facts(reading=True),
        wall=lambda: now,
        every_s=60,
    )


async def test_each_component_of_a_process_is_announced_with_what_only_it_knows(
    log: Log, log_prefix: str
) -> None:
    keys = Keys(log_prefix, "paper:main")
    stop = asyncio.Event()
    stop.set()
    await registry(log.commands(), keys).run(stop)
    assert await announced(log.commands(), keys) == (), "a process that is to stop says nothing more"
    await registry(log.commands(), keys).announce()
    execution, intents = sorted(await announced(log.commands(), keys), key=lambda one: one.component)
    assert (execution.component, execution.scope) == ("execution_service", "exit")
    assert (intents.component, intents.scope) == ("intent_executor", "none")
    assert execution.facts == Facts(lease="held")
    assert intents.facts == Facts(reading=True)
    for one in (execution, intents):
        assert (one.worker, one.started_at, one.at, one.stopped_at) == ("h:7:ab", NOW - 9, NOW, None)
        assert one.roles == ROLES


async def test_a_stop_in_order_is_told_and_a_kill_is_not(log: Log, log_prefix: str) -> None:
    keys = Keys(log_prefix, "paper:main")
    await registry(log.commands(), keys, "killed").announce()
    stopped = registry(log.commands(), keys, "stopped")
    await stopped.announce()
    await stopped.announce(stopped=True)
    ends = {one.worker: one.stopped_at for one in await announced(log.commands(), keys)}
    assert ends == {"killed": None, "stopped": NOW}


async def test_the_registry_is_bounded_by_age_and_by_number(log: Log, log_prefix: str) -> None:
    """Incident 85: who was silent for a week goes, and beyond some hundred who was silent for the longest."""
    keys = Keys(log_prefix, "paper:main")
    wire: Wire = log.commands()
    await registry(wire, keys, "old", NOW - KEPT_MS - 1).announce()
    await registry(wire, keys, "young", NOW - KEPT_MS + 1).announce()
    await registry(wire, keys).announce()
    found = {one.worker for one in await announced(wire, keys)}
    assert found == {"young", "h:7:ab"}
    one = (await announced(wire, keys))[0]
    for number in range(MOST):
        named = msgspec.structs.replace(one, worker=f"w{number}", at=NOW - 10 + number)
        await wire.execute_command(b"HSET", keys.components, named.name, msgspec.json.encode(named))
    await registry(wire, keys, now=NOW + MOST).announce()
    assert await wire.execute_command(b"HLEN", keys.components) == MOST
    assert "w0" not in {one.worker for one in await announced(wire, keys)}


async def test_what_cant_be_read_is_passed_over_and_goes_first(log: Log, log_prefix: str) -> None:
    """Another version's, or damage: nobody is announced by it, and it does not stay for ever."""
    keys = Keys(log_prefix, "paper:main")
    wire: Wire = log.commands()
    await wire.execute_command(b"HSET", keys.components, b"later", b"{}")
    await registry(wire, keys).announce()
    assert len(await announced(wire, keys)) == 2
    assert await wire.execute_command(b"HEXISTS", keys.components, b"later") == 0


def test_of_equally_old_ones_the_choice_is_the_same_for_everybody() -> None:
    at = {f"w{number}".encode(): NOW for number in range(MOST + 2)}
    assert surplus(at, NOW) == surplus(dict(reversed(at.items())), NOW)


async def test_a_newer_announcement_with_fields_of_a_later_version_is_understood() -> None:
    """Versions are mixed while a deployment is renewed."""
    text = msgspec.json.encode(
        {
            "component": "execution_service",
            "scope": "exit",
            "version": "9",
            "host": "h",
            "pid": 1,
            "worker": "w",
            "started_at": 1,
            "at": 2,
            "roles": ["execution"],
            "later": True,
        }
    )
    assert msgspec.json.decode(text, type=Presence).facts == Facts()
