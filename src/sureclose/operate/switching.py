"""``authority switch``: the grant goes to the other path while closes are under way, without a gap and without an overlap.

The command only names the next holder. Who leads finishes what it has under way and moves the grant with its lease; should
it or this command die, whoever sees the name does it once the lease has run out.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from sureclose.domain.authority import Authority, CantChange, Component
from sureclose.domain.switching import next_of
from sureclose.journal import lease
from sureclose.operate.leading import executor_alive
from sureclose.operate.session import Session
from sureclose.services import pulse
from sureclose.services.authority.freezing import AuthorityDesk
from sureclose.services.routes import roles_of
from sureclose.services.settings import Path

Progress = Callable[[str], None]
POLL_S: Final = 0.05


class Switched(msgspec.Struct, frozen=True, kw_only=True):
    """A switch as it went. Times are the log's milliseconds; ``moved`` is false when the target held the grant already."""

    path: Path
    component: Component
    moved: bool
    revision: int
    frozen: bool
    asked_at: int = 0
    granted_at: int = 0
    led_at: int = 0
    worker: str = ""
    epoch: int = 0


class NobodyThere(Exception):
    """The path has no executor that could lead; the message says what to start."""


class NotSwitched(Exception):
    """The switch did not come to its end in time; the message says what is so now, and what to do."""


async def switch(
    session: Session, path: Path, *, actor: str, timeout_s: float, progress: Progress
) -> Switched:
    """Move the grant to a path, and wait until its executor leads.

    Raises ``CantChange`` or ``NobodyThere`` when that is refused, ``NotSwitched`` when it takes too long: then it is withdrawn, unless the grant
    has moved.
    """
    desk = AuthorityDesk(session.wire, session.keys, session.wiring, session.clock, session.venue)
    component, asked_at = path.component, session.clock.now()
    standing = await desk.standing()
    if standing.component != component and standing.grant:
        await _require_alive(session, path)
    begun = await desk.begin_switch(component, actor=actor)
    if begun.component == component:
        return Switched(
            path=path, component=component, moved=False, revision=begun.revision, frozen=begun.frozen
        )
    progress(f"{begun.component} finishes what it has under way, at most {session.execution.drain_s} s")
    try:
        async with asyncio.timeout(timeout_s):
            granted = await _granted(session, desk, component)
            progress(f"{component} holds the grant, revision {granted.revision}; waiting for its executor")
            return await _led(session, path, granted, asked_at)
    except TimeoutError:
        left = await desk.withdraw_switch(begun)
    raise NotSwitched(_left(left, path, timeout_s))


async def _require_alive(session: Session, path: Path) -> None:
    missing = await executor_alive(session, path)
    if missing:
        roles = ",".join(roles_of(path, session.harvest_brain))
        raise NobodyThere(
            f"nobody would execute on PATH {path}: {'; '.join(missing)}. Start `sureclose run --roles {roles}`, then repeat this"
        )


async def _granted(session: Session, desk: AuthorityDesk, component: Component) -> Authority:
    """The record in which the component holds the grant."""
    while True:
        standing = await desk.standing()
        if standing.component == component:
            return standing
        if next_of(standing) is None:
            raise CantChange("somebody else has changed the grant meanwhile: `sureclose authority show`")
        if await lease.holder(session.wire, session.keys) is None:
            await desk.move_grant(None)
            continue
        await asyncio.sleep(POLL_S)


async def _led(session: Session, path: Path, granted: Authority, asked_at: int) -> Switched:
    """Wait for the pulse of an executor of the path that holds the lease."""
    while True:
        told, held = (
            await pulse.ask(session.wire, session.keys),
            await lease.holder(session.wire, session.keys),
        )
        if (
            told is not None
            and held is not None
            and told.component == path.component
            and told.epoch == held.epoch
        ):
            return Switched(
                path=path,
                component=path.component,
                moved=True,
                revision=granted.revision,
                frozen=granted.frozen,
                asked_at=asked_at,
                granted_at=int(granted.grant["at"]),
                led_at=told.leased_at,
                worker=told.worker,
                epoch=told.epoch,
            )
        await asyncio.sleep(POLL_S)


def _left(standing: Authority, path: Path, timeout_s: float) -> str:
    if standing.component == path.component:
        return (
            f"{path.component} holds the grant, but no executor of PATH {path} leads within {timeout_s:g} s: look at its log, "
            "or switch back"
        )
    return (
        f"{standing.component or 'nobody'} still holds the grant after {timeout_s:g} s, and the switch was withdrawn: "
        "`sureclose doctor` shows what it has under way; repeat it with a longer --timeout"
    )
