"""What this machine remembers of the log, so that a log which forgot can't pass for the one that was.

Two files for each account and address of a log. One is replaced as a whole and fsynced whenever epoch, identity or
authority change. The other is a row of small records, written in place each time the log has acknowledged something:
that outlives the process at once, and a power cut once it is synced, every second or so.
"""

import hashlib
import os
import struct
import zlib
from pathlib import Path
from typing import Final

import msgspec

from sureclose.domain.authority import Authority

_SLOT: Final = struct.Struct("<QQ32sI")
_SLOT_SIZE: Final = 64
_SLOTS: Final = 8
"""One for each of the last reigns, by its epoch: a process that wakes up late does not write over its successor's."""
_REREADS: Final = 3
_ID_BYTES: Final = 32


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What was last known of one log. Empty and zero stand for "nothing yet"."""

    id: str = ""
    written: int = 0
    epoch: int = 0
    authority: Authority | None = None


class MirrorDamaged(Exception):
    """The mirror of the log can't be read. Nothing is known then, so the log is compared with the venue anew."""


class Mirror:
    """The files of one log of one account in a data folder. ``address`` has no password in it."""

    def __init__(self, folder: Path, account: str, address: str) -> None:
        name = hashlib.sha256(f"{account}\n{address}".encode()).hexdigest()[:16]
        self._folder = folder
        self._of = (account, address)
        self._memory = folder / f"{name}.json"
        self._counts = folder / f"{name}.written"
        self._descriptor = -1

    def again(self) -> "Mirror":
        """The same files, opened on their own."""
        return Mirror(self._folder, *self._of)

    def read(self) -> Memory:
        """What is remembered; raises ``MirrorDamaged``, and ``OSError`` when the folder can't be read."""
        try:
            memory = msgspec.json.decode(self._memory.read_bytes(), type=Memory)
        except FileNotFoundError:
            return Memory()
        except msgspec.DecodeError as error:
            raise MirrorDamaged(f"{self._memory}: {error}") from error
        return msgspec.structs.replace(memory, written=max(memory.written, self._counted(memory.id)))

    def keep(self, memory: Memory) -> None:
        """Remember it durably before anything is done on its strength. What another process knows beyond it stays.

        Whoever keeps something after a damage has made sure of the log, so what was damaged goes.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        damaged = False
        try:
            before = self.read()
        except MirrorDamaged:
            before, damaged = Memory(), True
        memory = msgspec.structs.replace(
            memory,
            epoch=max(memory.epoch, before.epoch),
            written=max(memory.written, before.written) if memory.id == before.id else memory.written,
            authority=newer(memory.authority, before.authority),
        )
        new = self._memory.with_name(f".{self._memory.name}.{os.getpid()}")
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.write(msgspec.json.encode(memory))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._memory)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if damaged:
                self.close()
                self._counts.unlink(missing_ok=True)
            os.fsync(folder)
        finally:
            os.close(folder)

    def count(self, identity: str, epoch: int, written: int) -> None:
        """Note, in this epoch's own place, how much the log has acknowledged."""
        if self._descriptor < 0:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._counts, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._descriptor, _packed(identity, epoch, written), epoch % _SLOTS * _SLOT_SIZE)

    def sync(self) -> None:
        """Put the counts on disk; may block for milliseconds."""
        if self._descriptor >= 0:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _counted(self, identity: str) -> int:
        """The highest count of this log; a record that stays torn makes the mirror a damaged one."""
        for attempt in range(_REREADS):
            try:
                content = self._counts.read_bytes()
            except FileNotFoundError:
                return 0
            try:
                return max((written for name, written in _unpacked(content) if name == identity), default=0)
            except MirrorDamaged:
                if attempt + 1 == _REREADS:
                    raise
        raise AssertionError("not reached")


def newer(one: Authority | None, other: Authority | None) -> Authority | None:
    """The one of the higher revision; of two of the same, the first."""
    if one is None or other is None:
        return one or other
    return one if one.revision >= other.revision else other


def _packed(identity: str, epoch: int, written: int) -> bytes:
    name = identity.encode().ljust(_ID_BYTES, b"\0")
    body = _SLOT.pack(epoch, written, name, 0)
    return _SLOT.pack(epoch, written, name, zlib.crc32(body)).ljust(_SLOT_SIZE, b"\0")


def _unpacked(content: bytes) -> list[tuple[str, int]]:
    found = []
    content += b"\0" * (-len(content) % _SLOT_SIZE)
    for at in range(0, len(content), _SLOT_SIZE):
        epoch, written, name, check = _SLOT.unpack_from(content, at)
        if not any(content[at : at + _SLOT.size]):
            continue
        if check != zlib.crc32(_SLOT.pack(epoch, written, name, 0)):
            raise MirrorDamaged(f"a count of epoch {epoch} is torn")
        found.append((name.rstrip(b"\0").decode(errors="replace"), written))
    return found
