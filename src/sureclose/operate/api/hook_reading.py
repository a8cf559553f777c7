"""From a body to what its hook makes of it: the same for an alert that came and for one that is tried out."""

import msgspec

from sureclose.domain.alert import AlertUnreadable
from sureclose.domain.ids import digest
from sureclose.operate.api.hook_mapping import Absurd, Ignored, Wanted, identity, meaning
from sureclose.operate.api.hook_secrets import Hook
from sureclose.operate.asking import CloseRequest

DOOR = "hook"


class Understood(msgspec.Struct, frozen=True):
    """What an alert means, and the name of its wish: the same of each repeat, of no other hook, of no other account."""

    intent_id: str
    meaning: Wanted | Ignored | Absurd


def understood(hook: Hook, account: str, raw: bytes, now: int) -> Understood:
    """``now`` is the log's milliseconds. Whatever the body is, this answers."""
    try:
        tree = hook.read(raw)
    except AlertUnreadable as error:
        remedy = "post JSON, key=value pairs, or what the hook's template says"
        absurd = Absurd(reason="unreadable", detail=str(error), path="$", remedy=remedy)
        return Understood(digest(DOOR, account, hook.name, raw.hex()), absurd)
    named = digest(DOOR, account, hook.name, *identity(hook.settings, tree))
    return Understood(named, meaning(hook.settings, tree, now))


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
    )
