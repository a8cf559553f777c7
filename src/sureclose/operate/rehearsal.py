"""A dry run as a deployment of its own: other streams, other keys, another folder, and an account that it can only look at."""

from pathlib import Path
from typing import Final

import msgspec

from sureclose.journal.keys import Keys
from sureclose.services.settings import AlertSettings, ExecutionSettings, HttpSettings, StreamSettings
from sureclose.venue.environments import VenueSettings

NAME: Final = "dry-run"
WARNING: Final = "this is a dry run: it records what it would send, and sends nothing"


class Rehearsed(msgspec.Struct, frozen=True):
    """The deployment that is rehearsed: it is read, and nothing of it is written."""

    streams: StreamSettings
    keys: Keys

    @classmethod
    def of(cls, streams: StreamSettings, account: str) -> "Rehearsed":
        return cls(streams, Keys(streams.prefix, account))


def own_streams(streams: StreamSettings) -> StreamSettings:
    """Its own streams stand under its own prefix, so that nobody else's reader can meet what it decides."""
    return msgspec.structs.replace(streams, prefix=f"{streams.prefix}{NAME}:")


def own_folder(folder: Path) -> Path:
    """What it remembers of the log, and its segments."""
    return folder / NAME


def own_execution(execution: ExecutionSettings) -> ExecutionSettings:
    """Nothing is cleared away, for nothing is cancelled."""
    return msgspec.structs.replace(execution, tidies=False)


def own_venue(venue: VenueSettings) -> VenueSettings:
    """It has no user data stream, whose key it would share with whoever trades, and takes nobody's orders for its own."""
    return msgspec.structs.replace(venue, size_from_stream=False, client_order_id_prefix="dry-")


def own_http(http: HttpSettings) -> HttpSettings:
    """Any free port: the configured one is the real run's, and whoever asks there means it."""
    return msgspec.structs.replace(http, port=0)


def own_alerts() -> AlertSettings:
    """Its alarms stand in its log and wake nobody."""
    return AlertSettings()
