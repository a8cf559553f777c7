"""What an alert wants, by its hook's mapping: a close, nothing, or something that is refused. Pure, and total."""

import re
from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.alert import Missing, Place, Tree, wording
from sureclose.domain.times import CLOCK_TOLERANCE_MS, TimeFormatError, iso_ms, parse_time
from sureclose.domain.words import PositionSide
from sureclose.services.settings_hooks import HookSettings
from sureclose.streams.fields import DoubtError, number_of, recordable, shown

LONGEST_SYMBOL: Final = 40
_EXCHANGE: Final = re.compile(r"[A-Z0-9_]+:")
_PERPETUAL: Final = ".P"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that asks for a close. ``expires_at`` and ``made_at`` are milliseconds, if it says them."""

    symbol: str
    position_side: PositionSide
    fraction: Decimal | None
    quantity: Decimal | None
    reason: str
    expires_at: int | None
    made_at: int | None


class Ignored(msgspec.Struct, frozen=True):
    """An alert that asks for nothing, by ``when``."""

    why: str


class Absurd(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is refused: what is wrong, where it stands, and what to do."""

    reason: str
    detail: str
    path: str
    remedy: str
    threshold: str = ""
    seen: str = ""
    symbol: str = ""


class _Wrong(Exception):
    def __init__(self, absurd: Absurd) -> None:
        self.absurd = absurd
        super().__init__(absurd.detail)


def meaning(hook: HookSettings, tree: Tree, now: int) -> Wanted | Ignored | Absurd:
    """``now`` is the log's milliseconds; an alert from before ``max_age_s`` is a replay."""
    for condition in hook.when:
        try:
            found = Place.parse(condition.path).text_in(tree)
        except Missing as missing:
            return Ignored(str(missing))
        if found not in condition.accept:
            return Ignored(f"{condition.path} is {shown(found)}")
    symbol = ""
    try:
        _identified(hook, tree)
        symbol = _symbol(hook, tree)
        made_at = _time(hook.timestamp, "timestamp", tree)
        if made_at is not None:
            _of_now(hook, made_at, now)
        return Wanted(
            symbol=symbol,
            position_side=_side(hook, tree),
            fraction=_amount(hook.fraction, "fraction", tree, Decimal(1)),
            quantity=_amount(hook.quantity, "quantity", tree, None),
            reason=_reason(hook, tree),
            expires_at=_time(hook.expires_at, "expires_at", tree),
            made_at=made_at,
        )
    except _Wrong as wrong:
        return msgspec.structs.replace(wrong.absurd, symbol=symbol)


def identity(hook: HookSettings, tree: Tree) -> tuple[str, ...]:
    """What tells this alert from others. All of it where a place of ``identity`` is empty, so that a refusal has a name."""
    try:
        return _identified(hook, tree)
    except _Wrong:
        return (wording(tree),)


def spelt(hook: HookSettings, name: str) -> str:
    """The venue's spelling: by the table, else without ``EXCHANGE:`` before it and ``.P`` (a perpetual) behind."""
    if name in hook.symbols:
        return hook.symbols[name]
    upper = name.upper() if name.isascii() else name
    found = _EXCHANGE.match(upper)
    return upper[found.end() if found else 0 :].removesuffix(_PERPETUAL)


def _identified(hook: HookSettings, tree: Tree) -> tuple[str, ...]:
    if not hook.identity:
        return (wording(tree),)
    try:
        return tuple(wording(Place.parse(path).text_in(tree)) for path in hook.identity)
    except Missing as missing:
        remedy = "let the alert say it, or take the place out of identity"
        raise _wrong("identity", missing.args[0], "", remedy) from None


def _symbol(hook: HookSettings, tree: Tree) -> str:
    name = _said(hook.symbol, "symbol", tree)
    found = spelt(hook, name)
    if not found.replace("_", "").isalnum() or len(found) > LONGEST_SYMBOL:
        remedy = "add the sender's spelling and the venue's to the hook's table symbols"
        raise _wrong("symbol", f"{shown(name)} is no symbol", hook.symbol, remedy, seen=name)
    return found


def _side(hook: HookSettings, tree: Tree) -> PositionSide:
    if not hook.position_side:
        return PositionSide.BOTH
    said = _said(hook.position_side, "position_side", tree)
    try:
        return PositionSide(said.upper())
    except ValueError:
        remedy = "let it be LONG, SHORT or BOTH, the side of the position"
        raise _wrong(
            "position_side", f"{shown(said)} is no side", hook.position_side, remedy, seen=said
        ) from None


def _amount(source: str, name: str, tree: Tree, most: Decimal | None) -> Decimal | None:
    if not source:
        return None
    said = _said(source, name, tree)
    try:
        found = number_of(name, said)
    except DoubtError as doubt:
        raise _wrong(name, str(doubt), source, doubt.unreadable.remedy, seen=said) from None
    if found <= 0 or (most is not None and found > most):
        threshold = "above 0" if most is None else f"above 0, at most {most}"
        remedy = (
            "let it be a number of base units"
            if most is None
            else "let it be a part of the position: half is 0.5"
        )
        raise _wrong(
            name, f"{shown(said)} is not {threshold}", source, remedy, threshold=threshold, seen=said
        )
    return found


def _time(source: str, name: str, tree: Tree) -> int | None:
    if not source:
        return None
    said = _said(source, name, tree)
    try:
        return parse_time(said)
    except TimeFormatError as error:
        remedy = "let it be ISO 8601 in UTC, or seconds or milliseconds since the epoch"
        raise _wrong(name, str(error), source, remedy, seen=said) from None


def _of_now(hook: HookSettings, made_at: int, now: int) -> None:
    old = now - made_at
    if old > hook.max_age_s * 1_000:
        raise _wrong(
            "timestamp",
            f"the alert was made at {iso_ms(made_at)}, {old // 1_000} s ago",
            hook.timestamp,
            "an alert that comes again late closes nothing; if it is honest, raise the hook's max_age_s or set the sender's clock",
            reason="replayed",
            threshold=f"max_age_s {hook.max_age_s}",
            seen=f"{old} ms old",
        )
    if -old > CLOCK_TOLERANCE_MS:
        raise _wrong(
            "timestamp",
            f"the alert says that it was made {-old // 1_000} s from now",
            hook.timestamp,
            "set the sender's clock",
            threshold=f"{CLOCK_TOLERANCE_MS} ms ahead",
            seen=f"{-old} ms ahead",
        )


def _reason(hook: HookSettings, tree: Tree) -> str:
    """Recorded and never obeyed, so that a wrong one stops nothing."""
    if not hook.reason.startswith("$"):
        return recordable(hook.reason)
    try:
        return recordable(Place.parse(hook.reason).text_in(tree))
    except Missing:
        return ""


def _said(source: str, name: str, tree: Tree) -> str:
    if not source.startswith("$"):
        return source
    try:
        return Place.parse(source).text_in(tree)
    except Missing as missing:
        raise _wrong(
            name, missing.args[0], source, "let the alert say it, or map another place of it"
        ) from None


def _wrong(
    name: str,
    detail: str,
    path: str,
    remedy: str,
    *,
    reason: str = "absurd",
    threshold: str = "",
    seen: str = "",
) -> _Wrong:
    return _Wrong(
        Absurd(
            reason=reason,
            detail=f"{name}: {detail}",
            path=path or "$",
            remedy=remedy,
            threshold=threshold,
            seen=recordable(seen)[:200],
        )
    )
