"""The executor under proof: a child of ours that can be killed, or a service that a command restarts."""

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

TERM_PATIENCE_S = 20.0


class Executor(Protocol):
    """What ``prove`` needs of the executor: that it runs, dies in mid-send, and comes back."""

    how: str

    async def start(self) -> None: ...

    async def kill_and_restart(self) -> None:
        """End it without warning, then start it again; returns when the new one was started, not when it is ready."""
        ...

    async def stop(self) -> None: ...


class ChildExecutor:
    """``sureclose run`` as a child process, killed with SIGKILL. Its log goes to ``logfile``."""

    how = "SIGKILL of the process, then a new one"

    def __init__(self, command: Sequence[str], environment: dict[str, str], logfile: Path) -> None:
        self._command = list(command)
        self._environment = environment
        self._logfile = logfile
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, or ``None`` while it runs."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        with self._logfile.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=os.environ | self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def kill_and_restart(self) -> None:
        await self._end(signal.SIGKILL)
        await self.start()

    async def stop(self) -> None:
        if self._process is None:
            return
        try:
            async with asyncio.timeout(TERM_PATIENCE_S):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
        await self._process.wait()


class RestartCommand:
    """An executor that runs elsewhere, restarted by a command such as ``systemctl restart sureclose``."""

    def __init__(self, command: str) -> None:
        self.how = f"the command: {command}"
        self._command = shlex.split(command)

    async def start(self) -> None:
        """It runs already; if it does not, no lease appears and the proofs say so."""

    async def kill_and_restart(self) -> None:
        process = await asyncio.create_subprocess_exec(*self._command, stdin=asyncio.subprocess.DEVNULL)
        code = await process.wait()
        if code:
            raise RuntimeError(f"the restart command ended with {code}: {shlex.join(self._command)}")

    async def stop(self) -> None:
        """It goes on running: it was not ours to start."""
