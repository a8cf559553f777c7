"""What lists have in common: how much of the past they show, and how many rows."""

from sureclose.paper.call import Call
from sureclose.paper.errors import VenueError
from sureclose.paper.params import Params

WEEK_MS = 7 * 86_400_000
_QUARTER_MS = 90 * 86_400_000


def limit_of(params: Params) -> int:
    limit = params.integer("limit", least=1)
    return min(500 if limit is None else limit, 1000)


def window_of(call: Call, *, skip: bool) -> tuple[int, int]:
    """Begin and end in ms: at most seven days, the last seven when neither is given, all when `skip` allows it.

    A list that reaches to now also shows what has a later time because the exchange's clock was set back.
    """
    begin, end = call.params.integer("startTime"), call.params.integer("endTime")
    last = max(call.now, call.desk.ledger.latest)
    if begin is None and end is None:
        return call.now - (_QUARTER_MS if skip else WEEK_MS), last
    if end is None:
        end = last if begin is None else begin + WEEK_MS
    if begin is None:
        begin = end - WEEK_MS
    if end < begin or end - begin > WEEK_MS:
        raise VenueError(-1130, name="startTime")
    return max(begin, call.now - _QUARTER_MS), end
