"""An alert tried out: what its hook would make of it, without asking for anything."""

import msgspec

from sureclose.domain.times import LONGEST_EXPIRY_MS, iso_ms
from sureclose.operate.api.hook_mapping import Absurd, Ignored, Wanted
from sureclose.operate.api.hook_reading import Understood, understood
from sureclose.operate.api.hook_secrets import Hook
from sureclose.operate.asking import VALID_MS


class Trial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What would become of an alert. Amounts are decimals as texts, in base units or as a part of the position."""

    hook: str
    becomes: str
    """``close``, ``ignored`` or ``refused``."""
    intent_id: str
    symbol: str = ""
    position_side: str = ""
    fraction: str = ""
    quantity: str = ""
    reason: str = ""
    expires_at: str = ""
    timestamp: str = ""
    why: str = ""
    path: str = ""
    remedy: str = ""
    secret: str = ""
    """Whether the body has the hook's secret, where it has to be there: ``right`` or ``wrong``."""


def trials(hook: Hook, account: str, raw: bytes, now: int) -> tuple[Trial, ...]:
    """One for each alert of the body. ``now`` is the time that age and expiry are judged by, in milliseconds."""
    secret = "" if hook.carrier.place is None else ("right" if hook.is_secret_in(raw) else "wrong")
    return tuple(_trial(hook, found, now, secret) for found in understood(hook, account, raw, now))


def _trial(hook: Hook, found: Understood, now: int, secret: str) -> Trial:
    match found.meaning:
        case Ignored(why=why):
            return Trial(hook=hook.name, becomes="ignored", intent_id=found.intent_id, why=why, secret=secret)
        case Absurd() as absurd:
            return Trial(
                hook=hook.name,
                becomes="refused",
                intent_id=found.intent_id,
                symbol=absurd.symbol,
                reason=absurd.reason,
                why=absurd.detail,
                path=absurd.path,
                remedy=absurd.remedy,
                secret=secret,
            )
        case Wanted() as wanted:
            return _close(hook, found.intent_id, wanted, now, secret)


def _close(hook: Hook, intent_id: str, wanted: Wanted, now: int, secret: str) -> Trial:
    expires_at = now + VALID_MS if wanted.expires_at is None else wanted.expires_at
    wrong = "it has expired" if expires_at <= now else ""
    if expires_at > now + LONGEST_EXPIRY_MS:
        wrong = "expires_at is more than a day ahead"
    whole = wanted.fraction is None and wanted.quantity is None
    return Trial(
        hook=hook.name,
        becomes="refused" if wrong else "close",
        intent_id=intent_id,
        symbol=wanted.symbol,
        position_side=str(wanted.position_side),
        fraction="1" if whole else _text(wanted.fraction),
        quantity=_text(wanted.quantity),
        reason=wanted.reason,
        expires_at="" if wrong else iso_ms(expires_at),
        timestamp="" if wanted.made_at is None else iso_ms(wanted.made_at),
        why=wrong,
        secret=secret,
    )


def _text(amount: object) -> str:
    return "" if amount is None else format(amount, "f")
