"""Who is dead in a group, and taking over what he holds without losing what was trimmed under him."""

from typing import Final

import pytest

from sureclose.streams.connection import Log
from sureclose.streams.gone import noted
from sureclose.streams.groups import group_info
from sureclose.streams.holders import Holder, drain_group, holders, take_over
from sureclose.streams.slots import slot_key
from sureclose.streams.wire import Wire

GROUP: Final = "group"
ROLES: Final = ("execution",)
NEVER_MS: Final = 3_600_000


class Group:
    def __init__(self, log: Log, prefix: str) -> None:
        self.wire: Wire = log.commands()
        self.prefix = prefix
        self.stream = f"{prefix}apply.result"

    async def given(self, consumer: str, count: int) -> list[str]:
        """So many entries more, in that consumer's hands."""
        ids: list[str] = []
        for _ in range(count):
            added = await self.wire.execute_command(b"XADD", self.stream, "*", "f", "v")
            ids.append(added.decode())
        await self.wire.execute_command(
            *(b"XREADGROUP", b"GROUP", GROUP, consumer, b"STREAMS", self.stream, ">")
        )
        return ids

    async def holders(self, silence_ms: int = NEVER_MS) -> dict[str, Holder]:
        info = await group_info(self.wire, self.stream, GROUP)
        assert info is not None
        found = await holders(self.wire, self.prefix, info, ROLES, silence_ms)
        return {one.name: one for one in found}

    async def lease(self, group: str, number: int) -> None:
        await self.wire.execute_command(b"SET", slot_key(self.prefix, group, number), "token")


@pytest.fixture
async def group(log: Log, log_prefix: str) -> Group:
    made = Group(log, log_prefix)
    await made.wire.execute_command(b"XGROUP", b"CREATE", made.stream, GROUP, "0", b"MKSTREAM")
    return made


async def test_a_leased_name_is_dead_with_its_lease_and_any_other_after_long_silence(group: Group) -> None:
    for name in ("execution-1", "execution-2", "backlog-1", "backlog-2", "harvest_brain_4711", "brain-3"):
        await group.given(name, 1)
    await group.lease(GROUP, 1)
    await group.lease(drain_group(GROUP), 2)
    assert {name: one.lives for name, one in (await group.holders()).items()} == {
        "execution-1": True,
        "execution-2": False,
        "backlog-1": False,
        "backlog-2": True,
        "harvest_brain_4711": True,
        "brain-3": True,
    }
    silent = await group.holders(silence_ms=0)
    assert not silent["harvest_brain_4711"].lives
    assert silent["execution-1"].lives


async def test_what_a_dead_one_holds_is_taken_page_by_page_and_nobody_elses(group: Group) -> None:
    mine, others = await group.given("execution-2", 5), await group.given("execution-3", 2)
    dead = (await group.holders())["execution-2"]
    after, page = await take_over(group.wire, group.stream, GROUP, dead, "backlog-1", "0-0", 3)
    assert [entry[0].decode() for entry in page] == mine[:3]
    assert after == mine[2]
    after, page = await take_over(group.wire, group.stream, GROUP, dead, "backlog-1", after, 3)
    assert [entry[0].decode() for entry in page] == mine[3:]
    assert await take_over(group.wire, group.stream, GROUP, dead, "backlog-1", after, 3) == ("", [])
    found = await group.holders()
    assert (found["backlog-1"].pending, found["execution-3"].pending) == (5, len(others))


async def test_one_that_came_back_in_between_keeps_what_he_holds(group: Group) -> None:
    await group.given("execution-2", 2)
    await group.given("stranger", 2)
    dead = await group.holders(silence_ms=0)
    await group.lease(GROUP, 2)
    back = dead["stranger"]
    assert await take_over(group.wire, group.stream, GROUP, dead["execution-2"], "us", "0-0", 9) == ("", [])
    heard = Holder(
        **{name: getattr(back, name) for name in back.__struct_fields__} | {"silence_ms": NEVER_MS}
    )
    assert await take_over(group.wire, group.stream, GROUP, heard, "us", "0-0", 9) == ("", [])


async def test_what_was_trimmed_under_a_dead_one_is_noted(group: Group) -> None:
    ids = await group.given("execution-2", 4)
    await group.wire.execute_command(b"XDEL", group.stream, ids[0], ids[2])
    dead = (await group.holders())["execution-2"]
    _, page = await take_over(group.wire, group.stream, GROUP, dead, "us", "0-0", 9)
    assert [entry[0].decode() for entry in page if entry] == [ids[1], ids[3]]
    assert {gone.decode() for gone in await noted(group.wire, group.stream, GROUP)} == {ids[0], ids[2]}
