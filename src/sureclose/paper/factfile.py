"""The file that makes a killed exchange come back: one line of JSON per transaction, each a list of facts."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sureclose.paper.facts import AnyFact
from sureclose.paper.settings import SettingsError

_DECODER = msgspec.json.Decoder(list[AnyFact])
_ENCODER = msgspec.json.Encoder()


class FactFile:
    """Append-only and held by one process at a time.

    A transaction is one write, made before anything is answered, so that a killed process loses none that a
    client heard of. There is no fsync: it outlives the process, not the machine's power. A torn last line is
    what a write that never finished leaves behind; it was never answered and is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(
                f"data file {path} can't be opened ({error.strerror}): name a file in a writable directory"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise SettingsError(
                f"data file {path} is in use by another paper exchange: stop that one or name another file"
            ) from error

    def replay(self) -> Iterator[list[AnyFact]]:
        """Every transaction so far, oldest first; cuts a torn last line off."""
        with os.fdopen(os.dup(self._file), "rb") as reader:
            reader.seek(0)
            self._size = 0
            for number, line in enumerate(reader, start=1):
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, self._size)
                    return
                self._size += len(line)
                try:
                    yield _DECODER.decode(line)
                except msgspec.MsgspecError as error:
                    raise SettingsError(
                        f"data file {self._path} is broken at line {number} ({error}): "
                        "restore it from a copy, or name a fresh file"
                    ) from error

    def append(self, facts: list[AnyFact]) -> None:
        """Write one transaction, whole or (OSError) not at all."""
        line = memoryview(_ENCODER.encode(facts) + b"\n")
        length = len(line)
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += length

    def close(self) -> None:
        os.close(self._file)
