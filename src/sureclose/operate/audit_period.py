"""The period of an audit, in the venue's time."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sureclose.domain.times import iso_ms
from sureclose.operate.verify import oldest_shown

DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}


class PeriodRefused(Exception):
    """The period can't be audited; the message says what can."""


def period_since(text: str | None, now: int) -> int:
    """From when on to look, in the venue's milliseconds: a time (ISO 8601, UTC unless it says) or how long ago (24h, 90m).

    Raises ``PeriodRefused`` for what is neither, lies ahead, or is more than the venue keeps.
    """
    oldest = oldest_shown(now)
    if text is None:
        return max(now - DAY_MS, oldest)
    since = _since(text.strip(), now)
    if since > now:
        raise PeriodRefused(f"{iso_ms(since)} lies ahead: the venue's time is {iso_ms(now)}")
    if since < oldest:
        raise PeriodRefused(
            f"the venue answers for 90 days, so not for {iso_ms(since)}; the earliest is {iso_ms(oldest)}"
        )
    return since


def _since(text: str, now: int) -> int:
    number, unit = text[:-1], text[-1:]
    if number.isascii() and number.isdigit() and len(number) < 10 and unit in _UNITS_MS:
        return now - int(number) * _UNITS_MS[unit]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PeriodRefused(
            f"{text!r} is no time and no duration: write 2026-01-31T12:00:00Z, or 90m, 24h, 7d"
        ) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
