"""``sureclose`` with a stopwatch at each of its awaits: ``hops.json`` in its working directory tells the times.

A measurement of its own, apart from the rounds: the stopwatch costs some microseconds a hop.
"""

import atexit
import functools
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from sureclose.cli.main import main
from sureclose.journal.store import Journal
from sureclose.services.engine import Engine
from sureclose.services.heard import Heard
from sureclose.venue.rest import BinanceRest
from sureclose.venue.transport import Http

FILE: Final = "hops.json"
ADMIT: Final = "admit"
HTTP: Final = "request"
AWAITED: Final = (
    (Journal, "load"),
    (Journal, "append"),
    (Journal, "gate"),
    (Journal, "publish"),
    (BinanceRest, "position"),
    (BinanceRest, "place"),
    (BinanceRest, "trades_of_order"),
    (BinanceRest, "trades_since"),
    (BinanceRest, "order_by_id"),
    (BinanceRest, "resting"),
    (Heard, "fills_of"),
    (Heard, "next"),
    (Http, HTTP),
)


class Span(msgspec.Struct, frozen=True):
    """One call: its method's name, and wall clock nanoseconds."""

    name: str
    began: int
    ended: int


_spans: list[Span] = []


def _time_calls(owner: type[Any], name: str) -> None:
    called = getattr(owner, name)

    @functools.wraps(called)
    async def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.time_ns()
        try:
            return await called(*args, **kwargs)
        finally:
            _spans.append(Span(name, began, time.time_ns()))

    setattr(owner, name, timed)


def _note_admissions() -> None:
    admit = Engine.admit

    @functools.wraps(admit)
    def noted(*args: Any, **kwargs: Any) -> None:
        now = time.time_ns()
        _spans.append(Span(ADMIT, now, now))
        admit(*args, **kwargs)

    setattr(Engine, ADMIT, noted)


if __name__ == "__main__":
    for place, method in AWAITED:
        _time_calls(place, method)
    _note_admissions()
    folder = Path.cwd()
    atexit.register(lambda: (folder / FILE).write_bytes(msgspec.json.encode(_spans)))
    main()
