"""Whether the log is still the one that answered before, with all that it acknowledged.

The lease can't say it: it is in the log itself, and a replica that missed the last second has it with owner and epoch. So
every script that writes to the journal counts, and refuses a caller who has seen a higher count.
"""

import msgspec

from sureclose.domain.authority import Authority
from sureclose.journal.keys import Keys
from sureclose.journal.mirror import Memory, Mirror, MirrorDamaged, newer
from sureclose.streams.wire import Wire


class Lineage(msgspec.Struct, frozen=True):
    """What the log says of itself. ``before`` are the identities that it was reconciled from, the newest last."""

    id: str
    before: tuple[str, ...]
    written: int
    epoch: int
    run_id: str = ""
    """The run of the server in which somebody last made sure of it."""


async def read_lineage(wire: Wire, keys: Keys) -> Lineage:
    """Ask the log who it is."""
    identity, before, written, run_id = await wire.execute_command(
        b"HMGET", keys.log, "id", "before", "written", "run"
    )
    epoch = await wire.execute_command(b"GET", keys.epoch)
    return Lineage(
        id=(identity or b"").decode(),
        before=tuple((before or b"").decode().split()),
        written=int(written or 0),
        epoch=int(epoch or 0),
        run_id=(run_id or b"").decode(),
    )


class Fence:
    """What this process knows of the log; with a ``mirror`` its machine knows it as well.

    The processes of one data folder share a mirror, and the one that holds the lease writes it. Without one only what
    this process has seen counts.
    """

    def __init__(self, mirror: Mirror | None = None) -> None:
        self._mirror = mirror
        self._reign = 0
        self._unkept: OSError | None = None
        self.memory = Memory()
        self.damaged = ""
        """Why the mirror could not be read; nothing was known then."""
        self.look()

    def beside(self) -> "Fence":
        """Another executor of this process and folder: what it sees it keeps for itself, as another process would."""
        return Fence(None if self._mirror is None else self._mirror.again())

    @property
    def token(self) -> str:
        """What a script is told: which log this process knows, and how many scripts had written to it."""
        return f"{self.memory.id}:{self.memory.written}"

    def acknowledged(self, written: int) -> None:
        """The log has answered that so many scripts have written to it by now."""
        if written <= self.memory.written:
            return
        self.memory = msgspec.structs.replace(self.memory, written=written)
        if self._mirror is not None and self._reign:
            try:
                self._mirror.count(self.memory.id, self._reign, written)
            except OSError as error:
                # The script has written: what follows from that goes on, and the next ``sync`` says that this is not kept.
                self._unkept = error

    def look(self) -> None:
        """Learn what another process of this folder has seen since."""
        if self._mirror is None:
            return
        try:
            kept, own = self._mirror.read(), self.memory
        except MirrorDamaged as error:
            self.damaged = str(error)
            return
        self.damaged = ""
        if kept.id != own.id:
            if kept.id and kept.epoch >= own.epoch:
                self.memory = msgspec.structs.replace(kept, authority=newer(kept.authority, own.authority))
            return
        self.memory = Memory(
            id=own.id,
            written=max(own.written, kept.written),
            epoch=max(own.epoch, kept.epoch),
            authority=newer(kept.authority, own.authority),  # what was heard since may be on no disk here
        )

    def follow(self, lineage: Lineage) -> bool:
        """Take over what the log says of itself, if that is what this process knows and whatever came after it."""
        known = self.memory
        if not lineage.id or (known.id and known.id not in {lineage.id, *lineage.before}):
            return False
        if known.id == lineage.id and lineage.written < known.written:
            return False
        self.memory = msgspec.structs.replace(known, id=lineage.id, written=lineage.written)
        return True

    def reign(self, epoch: int) -> None:
        """The lease is ours in this epoch: on disk before anything is written under it."""
        self._reign = epoch
        self.close()  # another process may have put a new file in the place of one that was damaged
        self._keep(msgspec.structs.replace(self.memory, epoch=max(epoch, self.memory.epoch)))

    def abdicate(self) -> None:
        """Somebody else may hold the lease; what this process hears from now on it keeps to itself."""
        self._reign = 0

    def adopt(self, identity: str, written: int) -> None:
        """From now on this is the log, as it stands."""
        self.damaged = ""
        self._keep(msgspec.structs.replace(self.memory, id=identity, written=written))
        if self._mirror is not None and self._reign:
            self._mirror.count(identity, self._reign, written)

    def heard(self, authority: Authority | None) -> None:
        """Grant and freeze while another leads: known here, and kept by who leads."""
        known = self.memory.authority
        if (
            authority is not None
            and authority.recorded
            and (known is None or authority.revision >= known.revision)
        ):
            self.memory = msgspec.structs.replace(self.memory, authority=authority)

    def authorise(self, authority: Authority) -> None:
        """Grant and freeze are these now."""
        self._keep(msgspec.structs.replace(self.memory, authority=authority))

    def sync(self) -> None:
        """Put the counts on disk; may block for milliseconds. Raises ``OSError`` for each that could not be noted."""
        if self._mirror is None:
            return
        unkept, self._unkept = self._unkept, None
        if unkept is not None:
            try:
                self._mirror.count(self.memory.id, self._reign, self.memory.written)
            except OSError as error:
                self._unkept = error
                raise
        self._mirror.sync()

    def close(self) -> None:
        if self._mirror is not None:
            self._mirror.close()

    def _keep(self, memory: Memory) -> None:
        """A mirror that is damaged stays so until the log was made whole: who dies before that leaves no false one."""
        if memory != self.memory and self._mirror is not None and not self.damaged:
            self._mirror.keep(memory)
        self.memory = memory
