"""Where alarms go: a command of the operator's and a webhook. Each takes one alarm, or says why it did not."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp

from sureclose.services.settings import AlertSettings

TIMEOUT_S: Final = 10.0
"""How long a sink may take for one alarm."""
_SHOWN: Final = 2_000
"""How many of the last bytes of a failed command's standard error are told."""
_LAST_WORDS_S: Final = 0.5
_OURS: Final = ("SURECLOSE__", "CREDENTIALS_DIRECTORY")
"""How variables begin that hold or name our secrets; the command does not get them."""


class NotTold(Exception):
    """The sink did not take the alarm. The message says why, and holds no secret."""


class Sink(Protocol):
    """Somebody to tell. ``name`` is a word for logs and records, and stays the same over restarts."""

    @property
    def name(self) -> str: ...

    async def tell(self, document: bytes) -> None:
        """Tell one alarm, as JSON. Returns when it was taken; raises ``NotTold``, and nothing else for a fault."""
        ...


class Command:
    """A program that gets the alarm on its standard input. What ends with 0 has taken it.

    It and all that it starts have ``timeout_s`` to end and to close standard error; then its process group is killed.
    """

    name: Final = "command"

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        timeout_s: float = TIMEOUT_S,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._arguments = tuple(arguments)
        self._timeout_s = timeout_s
        environment = os.environ if environment is None else environment
        self._environment = {name: value for name, value in environment.items() if not name.startswith(_OURS)}

    async def tell(self, document: bytes) -> None:
        """See ``Sink``."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise NotTold(f"{Path(self._arguments[0]).name} can't be run: {error}") from error
        said = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.gather(_feed(process, document), _keep_end(process, said), process.wait())
        except TimeoutError:
            await _kill(process, said)
            raise NotTold(f"not over within {self._timeout_s:g} s{_quoted(said)}") from None
        except asyncio.CancelledError:
            await _kill(process, said)
            raise
        if process.returncode:
            raise NotTold(f"exit code {process.returncode}{_quoted(said)}")


async def _feed(process: asyncio.subprocess.Process, document: bytes) -> None:
    """A program that doesn't read, or not to the end, is judged by its exit code alone."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        if not process.stdin.is_closing():  # it has ended already, and writing would be an error of ours
            process.stdin.write(document)
            await process.stdin.drain()
    process.stdin.close()


async def _keep_end(process: asyncio.subprocess.Process, said: bytearray) -> None:
    """Read standard error to its end, and keep the last of it: a program may write without end."""
    assert process.stderr is not None
    while part := await process.stderr.read(_SHOWN):
        said += part
        del said[:-_SHOWN]


async def _kill(process: asyncio.subprocess.Process, said: bytearray) -> None:
    """It, and what it started in its group. What left the group may keep the pipe open, and is not waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS_S):
            await _keep_end(process, said)


def _quoted(said: bytearray) -> str:
    text = " ".join(said.decode(errors="replace").split())
    return f": {text}" if text else ""


class Webhook:
    """An address that each alarm is posted to. An answer of 2xx has taken it; a redirect is not followed."""

    name: Final = "webhook"

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def tell(self, document: bytes) -> None:
        """See ``Sink``. The text of an error may hold the address, and with it a secret: only its kind is told."""
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(self._url, data=document, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError:
            raise NotTold(f"no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotTold(_kind(error)) from None
        if not 200 <= status < 300:
            raise NotTold(f"HTTP {status}")


def _kind(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    reason = f": {os.strerror(number)}" if number is not None and number > 0 else ""
    return type(error).__name__ + reason


def sinks_of(settings: AlertSettings) -> tuple[Sink, ...]:
    """What is configured; there may be none."""
    sinks: list[Sink] = []
    if settings.command:
        sinks.append(Command(settings.arguments))
    if settings.webhook_url:
        sinks.append(Webhook(settings.webhook_url))
    return tuple(sinks)


def destinations(settings: AlertSettings) -> str:
    """Where alarms go, for people, without secrets; empty when nobody is told."""
    parts = []
    if settings.command:
        parts.append(f"the command {Path(settings.arguments[0]).name}")
    if settings.webhook_url:
        parts.append(f"a webhook at {urlsplit(settings.webhook_url).hostname}")
    return " and ".join(parts)
