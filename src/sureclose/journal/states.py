"""How many closes stand, without reading a record: for who waits for the outcomes of others."""

from collections.abc import Sequence
from typing import Any, Final

from sureclose.journal import scripts
from sureclose.journal.burnt import plan_shelf
from sureclose.journal.keys import Keys
from sureclose.streams.wire import Wire

BURNT: Final = "BURNT"
"""It ended, and has left the log."""
_PAGE: Final = 500
"""Closes that one script looks up: the log stands still for it."""

_states = scripts.load("states", fenced=False)


async def states(wire: Wire, keys: Keys, plans: Sequence[str], at: int) -> dict[str, str]:
    """OPEN, SKIPPED, PARKED, DONE or BURNT of each plan, and nothing for one that the log does not know.

    ``at`` is the log's clock in milliseconds.
    """
    found: dict[str, str] = {}
    for start in range(0, len(plans), _PAGE):
        page = plans[start : start + _PAGE]
        shelves = [plan_shelf(keys, plan, at) for plan in page]
        names = [
            name
            for plan, shelf in zip(page, shelves, strict=True)
            for name in (keys.close(plan), shelf.now, shelf.before)
        ]
        reply: Any = await _states.call(wire, names, [shelf.field for shelf in shelves])
        found |= {plan: state.decode() for plan, state in zip(page, reply, strict=True)}
    return found
