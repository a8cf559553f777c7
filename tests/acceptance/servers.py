"""Log servers of a test's own, that it kills, empties, sets back and lets fail over."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sureclose.streams.binary import find_server
from tests.acceptance.world import eventually


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One Valkey on a folder and a port of its own; every answered write is on disk."""

    def __init__(self, folder: Path, *more: str, sentinel: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self._more = more
        self._sentinel = sentinel
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        binary = (await find_server(None)).path
        with (self.folder / "server.log").open("ab") as output:
            self._child = subprocess.Popen(
                [binary, *self._arguments()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

        async def answers() -> bool | None:
            return await self.ask("PING") is not None or None

        await eventually(f"the server on {self.port} answers", answers)

    def _arguments(self) -> Sequence[str]:
        if self._sentinel:
            return [str(self.folder / "sentinel.conf"), "--sentinel"]
        return [
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always", *self._more),
        ]

    def watch(self, service: str, master: int, *, down_ms: int, quorum: int) -> None:
        """The configuration of a Sentinel that watches a server on that port."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sentinel.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {service} 127.0.0.1 {master} {quorum}\n"
            f"sentinel down-after-milliseconds {service} {down_ms}\n"
            f"sentinel failover-timeout {service} 6000\n"
        )

    async def ask(self, *command: str) -> Any:
        """The answer, or ``None`` when there is none."""
        client: Any = Redis(host="127.0.0.1", port=self.port, socket_timeout=1, socket_connect_timeout=1)
        try:
            return await client.execute_command(*command)
        except RedisError:
            return None
        finally:
            await client.aclose()

    def signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        os.kill(self._child.pid, number)

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    async def copied(self, to: Path) -> None:
        """A copy of its files, taken while it stands still."""
        self.kill()
        await asyncio.to_thread(shutil.copytree, self.folder / "appendonlydir", to)
        await self.start()

    async def restored(self, copy: Path) -> None:
        """Killed, set back to the copy, and started again."""
        self.kill()
        await asyncio.to_thread(shutil.rmtree, self.folder / "appendonlydir")
        await asyncio.to_thread(shutil.copytree, copy, self.folder / "appendonlydir")
        await self.start()
