"""Arming the baseline safety controller, ending that, and how it stands; from any process of the deployment."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from sureclose.domain.arming import SUNSET_MS, Armed, Arming, why_not
from sureclose.domain.authority import Authority
from sureclose.domain.market import Position
from sureclose.domain.safety import Margin
from sureclose.domain.times import iso_ms
from sureclose.journal import authority, lease
from sureclose.journal.safety import Fired
from sureclose.operate.authorising import Refused
from sureclose.operate.safety_role import book_of, place_of
from sureclose.operate.session import Session
from sureclose.services.authority.events import authority_event
from sureclose.services.safety.controller import TELL_S
from sureclose.services.safety.health import SafetyHealth
from sureclose.venue.environments import addresses, strangers_to
from sureclose.venue.errors import VenueError

STALE_MS: Final = 3 * round(TELL_S * 1000)
"""How old the controller's last word may be while it is taken to be alive."""
_TRIES: Final = 5
"""How often an arming is tried again when the record moved meanwhile."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What environment, host and key said of each other before an arming (incident 65)."""

    environment: str
    host: str
    account: str
    can_trade: bool
    positions: tuple[str, ...]
    maintenance_margin: str
    margin_balance: str


class SafetyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The controller as it stands. ``alive`` is whether a process of it spoke a moment ago.

    ``blind`` and ``health`` are its own last word, and as old as ``health_age_s`` says. ``idle`` is everything that keeps it from
    acting now.
    """

    armed: bool
    arming: Arming | None
    alive: bool
    health: SafetyHealth | None
    health_age_s: float | None
    blind: str
    idle: tuple[str, ...]
    fired: tuple[Fired, ...]


async def arm(session: Session, actor: str) -> Arming:
    """Arm it for 30 days under the freeze that stands; raises ``Refused`` with everything that is missing."""
    book = book_of(session)
    checked, missing = await _checked(session)
    for _ in range(_TRIES):
        standing = await authority.standing(session.wire, session.keys)
        holder = await lease.holder(session.wire, session.keys)
        unfit = _unfit(standing, "" if holder is None else holder.owner)
        if unfit or missing or checked is None:
            raise Refused([*unfit, *missing])
        seen, now = await book.arming(), session.clock.now()
        arming = Arming(
            state=Armed.ARMED,
            actor=actor,
            armed_at=now,
            expires_at=now + SUNSET_MS,
            revision=1 if seen is None else seen.revision + 1,
            freeze_at=standing.freeze.get("at", ""),
            place=place_of(session),
            checked=msgspec.json.encode(checked).decode(),
        )
        facts = {
            "actor": actor,
            "expires_at": iso_ms(arming.expires_at),
            "revision": str(arming.revision),
            "place": arming.place,
            "checked": arming.checked,
        }
        said = authority_event("BASELINE_SAFETY_ARMED", facts, session.wiring.producer, now, session.mode)
        if await book.arm(seen, arming, said) == "OK":
            return arming
    raise Refused(["lease, freeze or arming changed while it was armed: look at them, then repeat this"])


async def disarm(session: Session, actor: str) -> bool:
    """It closes nothing any more, from the next gate on; whether an arming stood."""
    now = session.clock.now()
    facts = {"actor": actor}
    said = authority_event("BASELINE_SAFETY_DISARMED", facts, session.wiring.producer, now, session.mode)
    return await book_of(session).end(Armed.DISARMED, now, actor, said)


async def status(session: Session) -> SafetyStatus:
    """What the log says of it. Asks the venue nothing."""
    book, now = book_of(session), session.clock.now()
    arming, document = await book.arming(), await book.health()
    standing = await authority.standing(session.wire, session.keys)
    held = await lease.holder(session.wire, session.keys)
    health = _health(document)
    age = None if health is None else max(0, now - health.at)
    alive = age is not None and age <= STALE_MS
    ours = health is not None and held is not None and held.owner == health.worker
    holder = "" if held is None or ours else held.owner
    idle = list(why_not(standing, arming, holder, place_of(session), now))
    if not alive:
        idle.append("no controller runs: start `sureclose run --roles safety`")
    blind = health.blind if alive and health is not None else ""
    if blind:
        idle.append(f"blind: {blind}")
    return SafetyStatus(
        armed=arming is not None and arming.state is Armed.ARMED and not arming.overdue(now),
        arming=arming,
        alive=alive,
        health=health,
        health_age_s=None if age is None else age / 1000,
        blind=blind,
        idle=tuple(idle),
        fired=await book.fired(),
    )


def _health(document: bytes | None) -> SafetyHealth | None:
    """The controller's last word; one that another version wrote is none."""
    try:
        return None if document is None else SafetyHealth.parse(document)
    except msgspec.DecodeError:
        return None


def _unfit(standing: Authority, holder: str) -> list[str]:
    missing = []
    if not standing.frozen:
        missing.append(
            "the account is not frozen: it acts under a freeze only (`sureclose freeze --reason TEXT`)"
        )
    if holder:
        missing.append(
            f"{holder} holds the lease: it acts only where no executor runs; stop `sureclose run` first"
        )
    return missing


async def _checked(session: Session) -> tuple[Checked | None, list[str]]:
    """What the venue says of key and account now, or what is wrong with that."""
    settings, venue = session.venue_settings, session.venue
    missing = strangers_to(settings)
    try:
        await venue.server_time()
        account = await venue.account()
        held, margin = await venue.positions(), await venue.margin()
    except VenueError as error:
        why = (
            f"the account can't be read ({error}): {error.remedy or 'check venue.base_url, network and keys'}"
        )
        return None, [*missing, why]
    if not account.can_trade:
        missing.append("the key may not trade: give it that right at the venue, or use another")
    if contradiction := _contradiction(held, margin):
        missing.append(contradiction)
    checked = Checked(
        environment=str(settings.environment),
        host=urlsplit(addresses(settings).rest).netloc,
        account=session.keys.account,
        can_trade=account.can_trade,
        positions=tuple(f"{one.symbol} {one.position_side} {one.amount:f}" for one in held),
        maintenance_margin=f"{margin.maintenance:f}",
        margin_balance=f"{margin.balance:f}",
    )
    return checked, missing


def _contradiction(held: Sequence[Position], margin: Margin) -> str:
    """Positions need a maintenance margin, and nothing else does: two reads that disagree are not of one account."""
    if bool(held) == bool(margin.maintenance):
        return ""
    return (
        f"the venue lists {len(held)} positions and a maintenance margin of {margin.maintenance:f}: "
        "they can't be of one account at one moment; repeat this, and check the key"
    )
