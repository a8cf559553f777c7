"""Times as producers write them, as milliseconds since the epoch."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

DRIFT: Final = 0.0005
"""How far a local clock may run off per unit of time: Linux slews its clocks by at most 500 ppm (adjtimex)."""

LONGEST_EXPIRY_MS: Final = 24 * 3600 * 1000
"""How far ahead ``expires_at`` may lie. Dedupe keys must outlive every approval, so there has to be a longest one."""

CLOCK_TOLERANCE_MS: Final = 60_000
"""How far ahead of the reader's clock a producer's may be. What is later than this has no age that could be known."""

_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
SPOKEN_AHEAD_MS: Final = LONGEST_EXPIRY_MS + CLOCK_TOLERANCE_MS
"""How far behind an entry's own id the times may lie that it speaks of."""

EARLIEST_MS: Final = 10**12
"""2001-09-09, the first time that ten digits of seconds can say. Anything before it is a default, not a time."""
_LONGEST_TEXT: Final = 48

_EPOCH = re.compile(r"([1-9][0-9]{9}|[1-9][0-9]{12})(?:\.([0-9]+))?")
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r" ?(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2})?)?"
)


class TimeFormatError(ValueError):
    """The text is no time that is understood; write ISO 8601 in UTC with milliseconds, or epoch milliseconds."""


def parse_time(text: str) -> int:
    """The last millisecond that the text covers; raises ``TimeFormatError``, for a time is never guessed at.

    A time covers its written resolution: ``...:07`` lasts until 7.999 s, ``...:07.5`` until 7.599 s. Ten digits
    before the point are epoch seconds, thirteen are milliseconds, no other count is understood. No zone means UTC.
    """
    if len(text) > _LONGEST_TEXT:
        raise TimeFormatError(f"no time is {len(text)} characters long")
    stripped = text.strip()
    epoch = _EPOCH.fullmatch(stripped)
    if epoch is not None:
        whole, decimals = epoch.groups()
        return int(whole) if len(whole) == 13 else int(whole) * 1000 + _covered(decimals)
    iso = _ISO.fullmatch(stripped)
    if iso is None:
        raise TimeFormatError(f"not a time: {text!r}")
    year, month, day, hour, minute, second, decimals, sign, zone_hours, zone_minutes = iso.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 59), tzinfo=UTC
        )
    except ValueError as error:
        raise TimeFormatError(f"not a time: {text!r} ({error})") from error
    offset = 0
    if sign is not None:
        if int(zone_hours) > 23 or int(zone_minutes or 0) > 59:
            raise TimeFormatError(f"no zone is that far from UTC: {text!r}")
        offset = (int(zone_hours) * 60 + int(zone_minutes or 0)) * (60_000 if sign == "+" else -60_000)
    ms = (moment - _EPOCH_START) // _MILLISECOND + _covered(decimals) - offset
    if ms < EARLIEST_MS:
        raise TimeFormatError(f"too long ago to be meant: {text!r}")
    return ms


def latest_meant(written_at: int) -> int | None:
    """The latest time that what was written then may speak of: its making, or its expiry. Milliseconds.

    So no approval lasts longer by being read late, and what was written long ago is over whatever it says. ``None``
    where ``written_at`` is no time: a stream whose ids are given by its producer may count from one.
    """
    return written_at + SPOKEN_AHEAD_MS if written_at >= EARLIEST_MS else None


def iso_ms(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds: the one form that is written, exact under ``parse_time``."""
    return (_EPOCH_START + ms * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _covered(decimals: str | None) -> int:
    """Milliseconds to the end of what the decimals of a second cover: all of it when there are none."""
    return int((decimals or "")[:3].ljust(3, "9"))
