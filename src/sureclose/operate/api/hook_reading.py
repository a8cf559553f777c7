"""From a body to what its hook makes of it: the same for an alert that came and for one that is tried out."""

from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.alert import AlertUnreadable, Missing, Place, Tree
from sureclose.domain.ids import amount_key, digest, plain
from sureclose.operate.api.hook_mapping import Absurd, Ignored, Wanted, identity, meaning
from sureclose.operate.api.hook_secrets import Hook
from sureclose.operate.asking import CloseRequest

DOOR: Final = "hook"
MOST_ALERTS: Final = 100
"""Of one body; Alertmanager and Grafana can be told to send fewer."""
_READABLE: Final = "post JSON, key=value pairs, or what the hook's template or its list each says"


class Understood(msgspec.Struct, frozen=True):
    """What an alert means, and the name of its wish: the same of each repeat, of no other hook, of no other account."""

    intent_id: str
    meaning: Wanted | Ignored | Absurd


def understood(hook: Hook, account: str, raw: bytes, now: int) -> tuple[Understood, ...]:
    """The alerts of a body: one, but for a hook with ``each``. ``now`` is the log's milliseconds. This answers whatever comes."""
    try:
        tree = hook.read(raw)
        alerts = _alerts(hook, tree)
    except AlertUnreadable as error:
        absurd = Absurd(
            reason="unreadable", detail=str(error), path=hook.settings.each or "$", remedy=_READABLE
        )
        return (Understood(digest(DOOR, account, hook.name, raw.hex()), absurd),)
    settings = hook.settings
    return tuple(
        Understood(
            digest(DOOR, account, hook.name, *identity(settings, alert)), meaning(settings, alert, now)
        )
        for alert in alerts
    )


def _key(amount: Decimal | None) -> str:
    return "" if amount is None else plain(amount_key(amount))


def _alerts(hook: Hook, tree: Tree) -> list[Tree]:
    if not hook.settings.each:
        return [tree]
    try:
        found = Place.parse(hook.settings.each).find(tree)
    except Missing as missing:
        raise AlertUnreadable(str(missing)) from None
    if not isinstance(found, list) or not 0 < len(found) <= MOST_ALERTS:
        raise AlertUnreadable(f"at {hook.settings.each} stands no list of 1 to {MOST_ALERTS} alerts")
    return found


def request_of(hook: Hook, intent_id: str, wanted: Wanted) -> CloseRequest:
    """What is asked of the path: never with a person's right."""
    return CloseRequest(
        intent_id=intent_id,
        symbol=wanted.symbol,
        position_side=wanted.position_side,
        fraction=wanted.fraction,
        quantity=wanted.quantity,
        reason=wanted.reason,
        expires_at=wanted.expires_at,
        actor=hook.name,
        door=DOOR,
        person=False,
        said=digest(wanted.symbol, wanted.position_side, *map(_key, (wanted.fraction, wanted.quantity))),
    )
