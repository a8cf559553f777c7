"""What the host of a data folder publishes for the others: ``runtime.json``, mode 0600."""

import json
import os
from pathlib import Path

import msgspec

RUNTIME_FILE = "runtime.json"


class PaperAddress(msgspec.Struct, frozen=True):
    """Where the embedded paper exchange is, and its keys."""

    rest: str
    stream: str
    api_key: str
    api_secret: str


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """Who hosts, and where log and exchange are. Empty where it runs neither."""

    pid: int
    command: str
    log_url: str = ""
    paper: PaperAddress | None = None


def read_runtime(folder: Path) -> Runtime | None:
    """What the host of the folder published, or ``None``; it may be dead."""
    try:
        return msgspec.json.decode((folder / RUNTIME_FILE).read_bytes(), type=Runtime)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_runtime(folder: Path, runtime: Runtime) -> None:
    """Whole or not at all, and for our eyes only: it holds keys."""
    temporary = folder / f".{RUNTIME_FILE}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(msgspec.to_builtins(runtime), stream, indent=2)
    temporary.replace(folder / RUNTIME_FILE)


def forget_runtime(folder: Path) -> None:
    """Nobody hosts: nobody shall attach to what is there no more."""
    (folder / RUNTIME_FILE).unlink(missing_ok=True)
