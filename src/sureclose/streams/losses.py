"""What was trimmed out of a stream before its group was given it: nobody can read it any more, so it is said."""

import structlog

from sureclose.domain.times import iso_ms
from sureclose.streams.groups import GroupInfo, StreamInfo, backlog

_REMEDY = "trim by MINID, below the oldest unread and pending ids; compare open positions with the venue"

_log = structlog.get_logger(__name__)


class Losses:
    """Counts each lost entry once, however often it is looked at before the group has passed the gap."""

    def __init__(self) -> None:
        self.count = 0
        self._gap: tuple[str, int] = ("", 0)

    def look(self, stream: StreamInfo, group: GroupInfo) -> None:
        """Before the group is read: once it has passed a gap, the gap can't be seen."""
        found = backlog(stream, group)
        lost = found.lost or 0
        known = self._gap[1] if self._gap[0] == group.last_delivered_id else 0
        if lost <= known:
            return
        self._gap = (group.last_delivered_id, lost)
        self.count += lost - known
        _log.error(
            "log.entries_lost",
            stream=stream.stream,
            group=group.group,
            lost=lost - known,
            readable=found.readable,
            last_delivered=None if found.delivered_at is None else iso_ms(found.delivered_at),
            remedy=_REMEDY,
        )
