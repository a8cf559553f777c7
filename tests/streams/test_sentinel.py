"""Which server is the log: a majority's newest word, and the server's own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.sentinel import NoMaster, Place, Sentinels, parse
from sureclose.streams.wire import Wire


def reply(*parts: str) -> bytes:
    """A list of texts as the wire has it."""
    bulks = b"".join(b"$%d\r\n%s\r\n" % (len(part), part.encode()) for part in parts)
    return b"*%d\r\n" % len(parts) + bulks


class Node:
    """Answers each command by its first word, or with OK."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[], bytes]] = {"PING": lambda: b"+PONG\r\n"}
        self.port = 0
        self.asked: list[str] = []

    @property
    def place(self) -> Place:
        return Place("127.0.0.1", self.port)

    def names(self, place: Place, epoch: int) -> None:
        """As a Sentinel: that is the master, by a configuration of that epoch."""
        told = reply("name", "log", "ip", place.host, "port", str(place.port), "config-epoch", str(epoch))
        self.answers["SENTINEL"] = lambda: told

    def plays(self, role: str) -> None:
        self.answers["ROLE"] = lambda: reply(role, "0", "")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2].decode())
                self.asked.append(words[0].upper())
                writer.write(self.answers.get(words[0].upper(), lambda: b"+OK\r\n")())
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def nodes(count: int) -> AsyncIterator[list[Node]]:
    made = [Node() for _ in range(count)]
    servers = []
    for node in made:
        server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
        node.port = server.sockets[0].getsockname()[1]
        servers.append(server)
    try:
        yield made
    finally:
        for server in servers:
            server.close()


def address(sentinels: Sequence[Node]) -> str:
    return "redis+sentinel://" + ",".join(str(node.place) for node in sentinels) + "/log"


def asking(sentinels: Sequence[Node]) -> Sentinels:
    return Sentinels(parse(address(sentinels)), timeout_s=1.0)


async def test_the_newest_word_counts_and_not_the_first() -> None:
    """One that was cut off still names the master of before."""
    async with nodes(5) as (first, second, third, old, new):
        first.names(old.place, 3)
        second.names(new.place, 4)
        third.names(old.place, 3)
        assert await asking([first, second, third]).master() == new.place


@pytest.mark.parametrize(("answering", "listed"), [(1, 2), (1, 3), (2, 4)])
async def test_less_than_a_majority_says_nothing(answering: int, listed: int) -> None:
    async with nodes(listed) as sentinels:
        for node in sentinels[:answering]:
            node.names(node.place, 1)
        for node in sentinels[answering:]:
            node.answers["SENTINEL"] = lambda: b"-ERR No such master with that name\r\n"
        with pytest.raises(NoMaster, match=f"{answering} of {listed}"):
            await asking(sentinels).master()


async def test_a_server_that_is_no_master_is_sent_nothing() -> None:
    async with nodes(2) as (sentinel, server):
        sentinel.names(server.place, 1)
        server.plays("slave")
        async with Log(LogSettings(url=address([sentinel]))) as log:
            wire: Wire = log.commands()
            with pytest.raises(RedisConnectionError, match="no master"):
                await wire.execute_command(b"SET", "k", "v")
            assert "SET" not in server.asked
            server.plays("master")
            assert await wire.execute_command(b"SET", "k", "v") == b"OK"


async def test_a_demoted_server_is_left_and_its_successor_found() -> None:
    """It is said once that nobody knows whether the write was done; then the next one goes to the new master."""
    async with nodes(3) as (sentinel, old, new):
        sentinel.names(old.place, 1)
        for server in (old, new):
            server.plays("master")
        async with Log(LogSettings(url=address([sentinel]))) as log:
            wire: Wire = log.commands()
            await wire.execute_command(b"SET", "k", "v")
            old.answers["SET"] = lambda: b"-READONLY You can't write against a read only replica.\r\n"
            sentinel.names(new.place, 2)
            with pytest.raises(RedisConnectionError, match="no master any more"):
                await wire.execute_command(b"SET", "k", "v")
            assert await wire.execute_command(b"SET", "k", "v") == b"OK"
            assert new.asked.count("SET") == 1


async def test_a_master_that_was_cut_off_is_left_although_it_answers() -> None:
    async with nodes(3) as (sentinel, old, new):
        sentinel.names(old.place, 1)
        for server in (old, new):
            server.plays("master")
        async with Log(LogSettings(url=address([sentinel]))) as log:
            wire: Wire = log.commands()
            reads: Wire = log.reader()
            await wire.execute_command("SET", "k", "v")
            await reads.execute_command("PING")
            await log.require_master()
            sentinel.names(new.place, 2)
            with pytest.raises(NoMaster, match=r"2 connections were to .* is the master"):
                await log.require_master()
            await log.require_master()
            await wire.execute_command("SET", "k", "v")
            assert new.asked.count("SET") == 1
