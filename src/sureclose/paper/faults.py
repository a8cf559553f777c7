"""Faults on demand: which are armed, and whether one strikes."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sureclose.paper.errors import REFUSALS
from sureclose.paper.kinds import KINDS, When
from sureclose.paper.settings import SettingsError

_COMMON = frozenset({"fault", "count", "ms", "skip", "fraction", "match", "rate"})
_MILLION = 1_000_000
_RESTING_CODES = (-4118, -2022)
_ANSWERS = ("unknown", "hang_up")


@dataclass(slots=True)
class Fault:
    """One armed fault.

    `count` is how often it still strikes (None: until cleared), `skip` how many chances it lets pass first, `ms`
    its duration, `rate` the probability of striking when it has the chance (None: always). `match` narrows it to
    requests whose parameters equal the given strings, or begin with them where they end in "*"; the names `path`,
    `method` (HTTP) and `route` ("GET /fapi/v1/order", "order.place", "*") select where it acts. The rest is explained
    in the table of kinds.
    """

    fault: str
    count: int | None = 1
    ms: int = 0
    skip: int = 0
    fraction: Decimal = Decimal("0.5")
    match: Mapping[str, str] = field(default_factory=dict)
    rate: Decimal | None = None
    until_deadline_ms: int | None = None
    answer: str = _ANSWERS[0]
    code: int = 0
    adl: bool = False
    armed_at: int = 0
    struck: int = 0
    chance: random.Random = field(default_factory=random.Random)

    def fits(self, route: str, values: Mapping[str, str]) -> bool:
        method, _, path = route.rpartition(" ")
        kind, places = KINDS[self.fault], self.match.get("route")
        if places is None and not ({"path", "method"} & self.match.keys()):
            if route not in kind.places:
                return False
        elif places not in {None, "*", route}:
            return False
        known = {**values, "path": path, "method": method}
        wanted = {**kind.match, **self.match}
        return all(_is_like(known.get(name), value) for name, value in wanted.items() if name != "route")

    def is_over(self, now: int) -> bool:
        return self.fault == "stream_silent" and bool(self.ms) and now >= self.armed_at + self.ms

    def is_lucky(self) -> bool:
        """Draw whether a chance is taken."""
        return self.rate is None or self.chance.randrange(_MILLION) < self.rate * _MILLION

    def as_dict(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "fault": self.fault,
            "count": self.count,
            "ms": self.ms,
            "skip": self.skip,
            "fraction": f"{self.fraction:f}",
            "match": dict(self.match),
            "rate": None if self.rate is None else f"{self.rate:f}",
        }
        shown |= {name: getattr(self, name) for name in sorted(KINDS[self.fault].takes)}
        return shown | {"armed_at": self.armed_at, "struck": self.struck}


class Faults:
    """The armed faults, asked in the order of their arming. One that strikes counts down and leaves at zero.

    Each draws from a source of its own, made of `seed` and of how many were armed before it.
    """

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._armed: list[Fault] = []
        self._arms = 0

    def __bool__(self) -> bool:
        return bool(self._armed)

    def arm(self, request: Mapping[str, Any], now: int) -> Fault:
        fault = parse(request)
        fault.armed_at = now
        fault.chance = random.Random(f"faults:{self._seed}:{self._arms}")  # noqa: S311  a storm, not a secret
        self._arms += 1
        self._armed.append(fault)
        return fault

    def clear(self) -> None:
        self._armed.clear()

    def strikes(self, name: str, route: str, values: Mapping[str, str], now: int) -> Fault | None:
        """The armed fault `name` that acts on this request, counted as having acted."""
        return self._ask([fault for fault in self._armed if fault.fault == name], route, values, now)

    def first(self, when: When, route: str, values: Mapping[str, str], now: int) -> Fault | None:
        """The first armed fault of that point in time that acts, counted as having acted."""
        asked = [fault for fault in self._armed if KINDS[fault.fault].when is when]
        return self._ask(asked, route, values, now)

    def _ask(self, asked: list[Fault], route: str, values: Mapping[str, str], now: int) -> Fault | None:
        for fault in asked:
            if fault.is_over(now):
                self._leave(fault)
                continue
            if not fault.fits(route, values):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if not fault.is_lucky():
                continue
            fault.struck += 1
            if fault.count is not None:
                fault.count -= 1
                if not fault.count:
                    self._leave(fault)
            return fault
        return None

    def _leave(self, gone: Fault) -> None:
        self._armed = [fault for fault in self._armed if fault is not gone]

    def as_dict(self) -> dict[str, Any]:
        return {
            "armed": [fault.as_dict() for fault in self._armed],
            "known": {name: kind.meaning for name, kind in KINDS.items()},
            "kinds": {
                name: {
                    "places": sorted(kind.places),
                    "when": kind.when.value,
                    "lasting": kind.lasting,
                    "takes": sorted(kind.takes),
                }
                for name, kind in KINDS.items()
            },
        }


def _is_like(value: str | None, wanted: str) -> bool:
    if wanted.endswith("*"):
        return value is not None and value.startswith(wanted[:-1])
    return value == wanted


def parse(request: Mapping[str, Any]) -> Fault:
    """A fault from the control API's JSON; SettingsError says what is wrong with it."""
    name = request.get("fault")
    if not isinstance(name, str) or name not in KINDS:
        raise SettingsError(f"fault {name!r} is unknown; the faults are: {', '.join(sorted(KINDS))}")
    kind = KINDS[name]
    unknown = request.keys() - _COMMON - kind.takes
    if unknown:
        usable = sorted((_COMMON | kind.takes) - {"fault"})
        raise SettingsError(f"{', '.join(sorted(unknown))} is no part of {name}: use {', '.join(usable)}")
    rate = None if request.get("rate") is None else _share(request["rate"], "rate")
    count = request.get("count", None if kind.lasting or rate is not None else 1)
    if count is not None:
        count = _whole(count, "count", least=1)
    match = request.get("match", {})
    if not isinstance(match, dict) or not all(isinstance(value, str) for value in match.values()):
        raise SettingsError('match must be an object of strings, e.g. {"symbol": "BTCUSDT"}')
    return Fault(
        name,
        count,
        _whole(request.get("ms", kind.ms), "ms"),
        _whole(request.get("skip", 0), "skip"),
        _share(request.get("fraction", kind.fraction), "fraction"),
        match,
        rate,
        _until(request),
        _choice(request, "answer", _ANSWERS),
        _code(name, request),
        _truth(request.get("adl", False), "adl"),
    )


def _until(request: Mapping[str, Any]) -> int | None:
    """How long before the end of the window a delayed execution is tried; None when `ms` says when."""
    if request.get("ms"):
        if "until_deadline_ms" in request:
            raise SettingsError("until_deadline_ms and ms exclude each other: give one of them")
        return None
    until = request.get("until_deadline_ms", 0)
    if not isinstance(until, int) or isinstance(until, bool):
        raise SettingsError("until_deadline_ms must be a whole number; negative is after the deadline")
    return until


def _code(name: str, request: Mapping[str, Any]) -> int:
    code = request.get("code")
    if name == "blocked_by_resting":
        if code is None:
            return _RESTING_CODES[0]
        if code not in _RESTING_CODES:
            raise SettingsError(f"code must be one of {', '.join(map(str, _RESTING_CODES))}")
        return int(code)
    if name == "refused":
        if not isinstance(code, int) or code not in REFUSALS:
            raise SettingsError(f"code must be one of {', '.join(map(str, sorted(REFUSALS, reverse=True)))}")
        return code
    return 0


def _choice(request: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = request.get(name, allowed[0])
    if value not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}")
    return str(value)


def _truth(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{name} must be true or false")
    return value


def _share(value: Any, name: str) -> Decimal:
    wrong = SettingsError(f'{name} must be a number from 0 to 1, e.g. "0.5"')
    try:
        share = Decimal(value if isinstance(value, str | Decimal) else str(value))
    except ArithmeticError as error:
        raise wrong from error
    if not share.is_finite() or not 0 <= share <= 1:
        raise wrong
    return share


def _whole(value: Any, name: str, *, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SettingsError(f"{name} must be a whole number from {least} up")
    return value
