"""The servers that the suites which talk to the log run on: ours, and Debian's Redis 7.0 where it is installed."""

import asyncio
import contextlib
import os
import re
import resource
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import redis as blocking_redis

from sureclose.streams.binary import find_server

VALKEY: Final = "valkey"
REDIS: Final = "redis-7.0"
MISSING: Final = "no redis-server 7.0 on PATH (Debian 12: apt-get install redis-server)"
_READY_S: Final = 10.0


@cache
def valkey() -> Path:
    """The server that we bring along."""
    return asyncio.run(find_server(None)).path


@cache
def redis_7() -> Path | None:
    """A Redis 7.0 of the distribution's, if there is one."""
    path = shutil.which("redis-server")
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return Path(path) if re.search(r"v=7\.0\.", said) else None


def binary(kind: str) -> Path | None:
    """The server of that kind, None where it is not installed."""
    return valkey() if kind == VALKEY else redis_7()


class OwnServer:
    """A bare server as an operator has one: configured on its command line, killed, stopped and started by a test.

    It is a child of the tests and not of what is tested. Every answered write is on disk.
    """

    def __init__(self, program: Path, folder: Path, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._program = program
        self._folder = folder
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_hex(8)
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self, **settings: str) -> None:
        """Up: it answers, though it may still be loading. ``settings`` are for this start only."""
        wanted = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "enable-debug-command": "yes",
            **{name.replace("_", "-"): value for name, value in (self._settings | settings).items()},
        }
        arguments = [part for name, value in wanted.items() for part in (f"--{name}", value)]
        with (self._folder / "server.log").open("ab") as output:
            self._child = subprocess.Popen(
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                restore_signals=False,  # a write beyond the limit is an error and no signal, as on a full disk
            )
        with self.client() as client:
            for _ in range(int(_READY_S / 0.02)):
                with contextlib.suppress(blocking_redis.ConnectionError, blocking_redis.BusyLoadingError):
                    client.ping()
                    return
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(0.02)
                    break
        raise AssertionError(f"it does not start: {(self._folder / 'server.log').read_text()[-2000:]}")

    @contextlib.contextmanager
    def client(self) -> Iterator[blocking_redis.Redis]:
        """A hand of the operator's on the server."""
        client = blocking_redis.Redis(
            host="127.0.0.1", port=self.port, password=self.password, socket_timeout=10
        )
        try:
            yield client
        finally:
            client.close()

    def configure(self, **settings: str) -> None:
        with self.client() as client:
            for name, value in settings.items():
                client.config_set(name.replace("_", "-"), value)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def fill_disk(self) -> None:
        """Its files may not grow any more; a process is told so as it is of a full disk. Holds until it ends."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def ended(self) -> int | None:
        assert self._child is not None
        return self._child.poll()

    def kill(self) -> None:
        """``kill -9``, and its end."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
            self._child.wait()


@contextlib.contextmanager
def own_server(program: Path, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[OwnServer]:
    server = OwnServer(program, folder, **(settings or {}))
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
