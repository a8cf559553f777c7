"""The embedded server's folder: whose it is, and what the server is told to do in it."""

import asyncio
import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from sureclose.streams.errors import DataFolderInUse, SocketFolderUnsafe, SocketPathTooLong

SOCKET_PATH_LIMIT = 107
"""``sun_path`` holds 108 bytes, the last one zero; a longer path is refused by bind or cut short."""
_LOG_LIMIT = 4 * 1024 * 1024
_POLL_S = 0.02


class DataFolder:
    """A data folder held by this process.

    Valkey doesn't lock its folder: a second server starts happily on it, and both append to one file. So the lock is
    held here and handed down to the server, which keeps it even when this process is gone. It is let go by closing,
    never by LOCK_UN, which would take it from the server too.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock
        self.logfile = path / "valkey.log"
        self.configuration = path / "valkey.conf"

    @classmethod
    async def hold(cls, path: Path, *, patience_s: float, monotonic: Callable[[], float]) -> "DataFolder":
        """Take the folder. If its holder is dead, its server is on its way out: wait for that; else refuse at once."""
        path, lock = _opened(path)
        try:
            give_up_at = monotonic() + patience_s
            while not _locked(lock):
                holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
                if _alive(holder) or monotonic() >= give_up_at:
                    raise DataFolderInUse(folder=path, holder=holder or "unknown")
                await asyncio.sleep(_POLL_S)
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock)

    def release(self) -> None:
        os.close(self.lock)

    def socket_path(self) -> Path:
        """In the folder, or for a deep folder in a short one that depends on nothing but the folder's path."""
        path = self.path / "valkey.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        short = Path(tempfile.gettempdir()) / f"sureclose-{os.getuid()}-{name}"
        if len(os.fsencode(short / path.name)) > SOCKET_PATH_LIMIT:
            raise SocketPathTooLong(path=short / path.name, limit=SOCKET_PATH_LIMIT)
        short.mkdir(mode=0o700, exist_ok=True)
        found = short.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise SocketFolderUnsafe(folder=short)
        return short / path.name

    def password(self) -> str:
        """The log's password, made once for the folder so that who is attached can come back after a restart."""
        path = self.path / "valkey.password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text().strip()

    def write_configuration(self, *, port: int, socket: Path, password: str) -> None:
        """Every answered write is on disk first, and memory never evicts; the rest is quiet.

        A torn last record, which is what a kill in mid-write leaves, is cut off at load: it was never answered.
        """
        settings: list[tuple[str, str | int]] = [
            ("bind", "127.0.0.1"),
            ("port", port),
            ("protected-mode", "yes"),
            ("requirepass", password),
            ("unixsocket", str(socket)),
            ("unixsocketperm", "700"),
            ("daemonize", "no"),
            ("dir", str(self.path)),
            ("logfile", str(self.logfile)),
            ("loglevel", "notice"),
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("no-appendfsync-on-rewrite", "no"),
            ("aof-load-truncated", "yes"),
            ("auto-aof-rewrite-min-size", "64mb"),
            ("save", ""),
            ("maxmemory-policy", "noeviction"),
        ]
        text = "".join(
            f"{name} {value if isinstance(value, int) else _quoted(value)}\n" for name, value in settings
        )
        write_private(self.configuration, text)

    def bound_logfile(self) -> int:
        """Set a log that has grown large aside, over the one before it; returns where the next start's lines begin."""
        if not self.logfile.exists():
            return 0
        size = self.logfile.stat().st_size
        if size <= _LOG_LIMIT:
            return size
        self.logfile.replace(self.logfile.with_suffix(".log.1"))
        return 0

    def log_since(self, offset: int) -> str:
        if not self.logfile.exists():
            return ""
        with self.logfile.open("rb") as file:
            file.seek(offset)
            return file.read(_LOG_LIMIT).decode(errors="replace")


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole, readable by its owner only from its first moment."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def open_private(path: Path) -> BinaryIO:
    """For appending, made readable by its owner only."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")


def _quoted(value: str) -> str:
    """As the configuration file wants a string with anything in it."""
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}"
        for byte in os.fsencode(value)
    )
    return f'"{"".join(plain)}"'


def _opened(path: Path) -> tuple[Path, int]:
    path = path.resolve()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path, os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(holder: str) -> bool:
    """Whether the process that wrote its id into the lock still lives; one that hasn't written yet counts as alive."""
    if not holder.isdigit():
        return True
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
