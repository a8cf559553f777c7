"""What an operator's command works with: the log, the account's journal, the venue."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from sureclose.domain.words import Mode
from sureclose.journal.fence import Fence
from sureclose.journal.keys import Keys
from sureclose.journal.library import Library
from sureclose.journal.rehearsal import RehearsalJournal
from sureclose.journal.store import Journal
from sureclose.operate.host import Host
from sureclose.operate.newest import NewestPlans
from sureclose.operate.rehearsal import Rehearsed
from sureclose.services import identity
from sureclose.services.reading import Wiring
from sureclose.services.settings import (
    AlertSettings,
    AuthoritySettings,
    ExecutionSettings,
    HarvestBrainSettings,
    HttpSettings,
    JournalSettings,
    StreamSettings,
)
from sureclose.services.settings_harvest import HarvestSettings
from sureclose.services.settings_hooks import HookSettings
from sureclose.streams.clock import LogClock
from sureclose.streams.connection import Log
from sureclose.streams.wire import Wire
from sureclose.venue.environments import VenueSettings
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One command's view of one deployment. ``clock`` is the log's, ``monotonic`` gives seconds."""

    log: Log
    host: Host
    streams: StreamSettings
    execution: ExecutionSettings
    harvest_brain: HarvestBrainSettings
    harvest: HarvestSettings
    authority: AuthoritySettings
    keeping: JournalSettings
    http: HttpSettings
    http_port_is_default: bool
    """Nobody chose the port, so another will do where it is taken."""
    hooks: Mapping[str, HookSettings]
    alerts: AlertSettings
    venue_settings: VenueSettings
    credentials: Credentials
    venue: BinanceRest
    keys: Keys
    wiring: Wiring
    folder: Path
    fence: Fence
    """What is known of the log, in this process and in the data folder."""
    mode_source: str
    """Where the environment was chosen: the default, a file, or a variable."""
    clock: LogClock
    monotonic: Callable[[], float]
    newest_plans: NewestPlans = msgspec.field(default_factory=NewestPlans)
    rehearsed: Rehearsed | None = None
    """Of a dry run: the deployment that it looks at."""

    @property
    def wire(self) -> Wire:
        return self.log.commands()

    @property
    def segments(self) -> Path:
        """Where this account's segments are on this host."""
        return segments_folder(self.folder, self.keys.account)

    @property
    def library(self) -> Library:
        return Library(self.wire, self.keys, host=identity.host(), folder=self.segments)

    @property
    def mode(self) -> Mode:
        return self.venue_settings.environment

    @property
    def journal(self) -> Journal:
        return self.journal_with(self.fence)

    def journal_with(self, fence: Fence) -> Journal:
        """The account's journal, for one that has a memory of the log of its own; a dry run's lets nothing through."""
        wire, wall = self.wire, self.clock.now
        if self.rehearsed is not None:
            return RehearsalJournal(wire, self.keys, wall, fence, self.rehearsed.keys)
        return Journal(wire, self.keys, wall, fence)


def segments_folder(data: Path, account: str) -> Path:
    """The folder of an account's segments in a data folder."""
    return data / "segments" / account
