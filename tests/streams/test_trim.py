"""Trimming takes only what every group has finished, whatever groups read, leave pending or have never read."""

from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sureclose.services.trimmer import Trimmer
from sureclose.streams.connection import Log
from sureclose.streams.trim import AT_ONCE, Trimmed, trim
from sureclose.streams.wire import Wire, id_key

GROUPS = ("one", "two", "three")
names = count()
steps = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 6), st.just(0)),
    st.tuples(st.just("make"), st.integers(0, 2), st.integers(0, 12)),
    st.tuples(st.just("read"), st.integers(0, 2), st.integers(1, 6)),
    st.tuples(st.just("finish"), st.integers(0, 2), st.integers(0, 8)),
    st.tuples(st.just("trim"), st.integers(1, 6), st.just(0)),
)


class Model:
    """A stream as its entries, and each group as what it has read to and what it has in hand."""

    def __init__(self, wire: Wire, stream: str) -> None:
        self.wire = wire
        self.stream = stream
        self.entries: list[str] = []
        self.read_to: dict[str, tuple[int, int]] = {}
        self.pending: dict[str, list[str]] = {}
        self.added = 0

    async def do(self, *command: str | int) -> object:
        name, *rest = command
        return await self.wire.execute_command(str(name).encode(), *rest)

    async def add(self, many: int, _: int) -> None:
        for _ in range(many):
            self.added += 1
            # Ids whose text is in another order than their value, and longer than what Lua can count.
            entry_id = f"{9_007_199_254_740_990 + self.added}-{self.added % 3}"
            await self.do("XADD", self.stream, entry_id, "n", self.added)
            self.entries.append(entry_id)

    async def make(self, which: int, behind: int) -> None:
        group = GROUPS[which]
        if group in self.read_to:
            return
        start = self.entries[behind] if behind < len(self.entries) else "0-0"
        await self.do("XGROUP", "CREATE", self.stream, group, start, "MKSTREAM")
        self.read_to[group], self.pending[group] = id_key(start), []

    async def read(self, which: int, many: int) -> None:
        group = GROUPS[which]
        if group not in self.read_to:
            return
        await self.do("XREADGROUP", "GROUP", group, "c", "COUNT", many, "STREAMS", self.stream, ">")
        fresh = [entry for entry in self.entries if id_key(entry) > self.read_to[group]][:many]
        self.pending[group] += fresh
        if fresh:
            self.read_to[group] = id_key(fresh[-1])

    async def finish(self, which: int, place: int) -> None:
        pending = self.pending.get(GROUPS[which], [])
        if place < len(pending):
            await self.do("XACK", self.stream, GROUPS[which], pending.pop(place))

    async def trim(self, keep: int, _: int) -> None:
        found = await trim(self.wire, self.stream, keep)
        left = await self.left()
        gone = self.entries[: len(self.entries) - len(left)]
        assert left == self.entries[len(gone) :], "the oldest go, and nothing between others"
        assert found.entries == len(gone)
        assert len(left) >= min(keep, len(self.entries))
        for group, read_to in self.read_to.items():
            assert not set(gone) & set(self.pending[group]), "in somebody's hand"
            assert all(id_key(entry) <= read_to for entry in gone), "unread"
        if len(left) > keep:
            assert found.kept_by in self.read_to
            read_to, pending = self.read_to[found.kept_by], self.pending[found.kept_by]
            assert left[0] in pending or id_key(left[0]) >= read_to or read_to == (0, 0)
        self.entries = left

    async def left(self) -> list[str]:
        return [
            entry[0].decode() for entry in await self.wire.execute_command(b"XRANGE", self.stream, "-", "+")
        ]


@settings(
    max_examples=120,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(steps, max_size=25))
async def test_trimming_never_passes_what_a_group_has_not_finished(
    log: Log, history: list[tuple[str, int, int]]
) -> None:
    model = Model(log.commands(), f"trim{next(names)}:stream")
    await model.add(3, 0)
    for name, one, other in (*history, ("trim", 1, 0)):
        await getattr(model, name)(one, other)
    await model.do("DEL", model.stream)


async def test_a_stream_without_groups_keeps_its_newest_and_one_that_is_not_there_is_left_alone(
    log: Log, log_prefix: str
) -> None:
    model = Model(log.commands(), f"{log_prefix}stream")
    assert await trim(model.wire, model.stream, 3) == Trimmed(0, "")
    await model.add(10, 0)
    assert await trim(model.wire, model.stream, 3) == Trimmed(7, "")
    assert await model.left() == model.entries[-3:]


async def test_a_long_stream_is_trimmed_in_parts(log: Log, log_prefix: str) -> None:
    model = Model(log.commands(), f"{log_prefix}stream")
    await model.do(
        "EVAL", "for n = 1, 240 do redis.call('XADD', KEYS[1], n .. '-0', 'n', n) end", 1, model.stream
    )
    assert await trim(model.wire, model.stream, 100) == Trimmed(AT_ONCE, "")
    assert await trim(model.wire, model.stream, 100) == Trimmed(40, "")


async def test_nothing_goes_before_the_reader_of_the_stream_has_its_group(log: Log, log_prefix: str) -> None:
    """It is made with its first start, which may be after everybody else's: until then all of it is unread."""
    model = Model(log.commands(), f"{log_prefix}stream")
    trimmer = Trimmer(model.wire, [model.stream], 3, lambda: True, readers=lambda: {model.stream: "one"})
    await model.add(10, 0)
    assert await trim(model.wire, model.stream, 3, "one") == Trimmed(0, "one")
    await model.make(1, 10)
    await model.read(1, 10)
    for entry in tuple(model.pending["two"]):
        await model.finish(1, model.pending["two"].index(entry))
    assert await trimmer.round(model.stream) == 0
    assert await model.left() == model.entries
    await model.make(0, 10)
    await model.read(0, 10)
    for entry in tuple(model.pending["one"]):
        await model.finish(0, model.pending["one"].index(entry))
    assert await trimmer.round(model.stream) == 7
    assert await model.left() == model.entries[-3:]
