"""What armed faults make of user events on their way out. Events of one type never overtake each other."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sureclose.paper.events import Event
from sureclose.paper.faults import Faults
from sureclose.paper.kinds import USER_EVENT, When

_NO_TRIGGER = "TRADE_LITE"


@dataclass(slots=True)
class _Held:
    """An event that waits. One that `waits` for another type is released by it, each other one when it is ready."""

    event: Event
    ready: bool
    waits: bool = False


class Trouble:
    """`send` gives an event to its listeners, `cut` resets their sockets instead."""

    def __init__(self, faults: Faults, send: Callable[[Event], None], cut: Callable[[Event], None]) -> None:
        self._faults = faults
        self._send = send
        self._cut = cut
        self._lanes: dict[str, deque[_Held]] = {}
        self._timers: set[asyncio.TimerHandle] = set()

    def __bool__(self) -> bool:
        """Whether an event has to come by here: faults are armed, or earlier events are held."""
        return bool(self._faults) or bool(self._lanes)

    def meet(self, event: Event, now: int) -> None:
        fault = self._faults.first(When.EVENT, USER_EVENT, _values(event), now)
        name = None if fault is None else fault.fault
        if fault is not None and name in {"stream_late", "stream_reordered"}:
            self._hold(event, fault.ms, waits=name == "stream_reordered")
        elif name == "stream_cut":
            self._cut(event)
        elif name != "stream_silent":
            for _ in range(2 if name == "stream_doubled" else 1):
                self._pass(event)

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._lanes.clear()

    def _hold(self, event: Event, ms: int, *, waits: bool) -> None:
        held = _Held(event, ready=False, waits=waits)
        self._lanes.setdefault(event["e"], deque()).append(held)

        def release() -> None:
            self._timers.discard(timer)
            held.ready = True
            self._drain(event["e"])

        timer = asyncio.get_running_loop().call_later(ms / 1000, release)
        self._timers.add(timer)

    def _pass(self, event: Event) -> None:
        lane = self._lanes.get(event["e"])
        if lane:
            lane.append(_Held(event, ready=True))
        else:
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        self._send(event)
        if event["e"] == _NO_TRIGGER:
            return
        for kind in [kind for kind in self._lanes if kind != event["e"]]:
            for held in self._lanes.get(kind, ()):
                held.ready = held.ready or held.waits
            self._drain(kind)

    def _drain(self, kind: str) -> None:
        lane = self._lanes.get(kind)
        while lane and lane[0].ready:
            event = lane.popleft().event
            if not lane:
                self._lanes.pop(kind, None)
            self._deliver(event)


def _values(event: Event) -> dict[str, str]:
    """What `match` can name: the event's type and its symbol (of an ACCOUNT_UPDATE that of its position)."""
    about = event.get("o", event)
    if event["e"] == "ACCOUNT_UPDATE":
        about = next(iter(event["a"]["P"]), {})
    return {"event": str(event["e"]), "symbol": str(about.get("s", ""))}
