"""What a person changes in authority: freeze and unfreeze, grant and demote. Rights are given on evidence only."""

from collections.abc import Sequence

from sureclose.domain.authority import Authority, Component, Ground, Trigger
from sureclose.journal import lease
from sureclose.journal.audits import recorded
from sureclose.operate.auditing import missing_for
from sureclose.operate.session import Session
from sureclose.services.authority.freezing import AuthorityDesk


class Refused(Exception):
    """A right is not given: ``missing`` says what for, and what to do about each."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__("; ".join(missing))
        self.missing = tuple(missing)


def desk_of(session: Session) -> AuthorityDesk:
    """Where this command changes the record."""
    return AuthorityDesk(session.wire, session.keys, session.wiring, session.clock, session.venue)


async def freeze(session: Session, *, reason: str, actor: str) -> Authority:
    """No grant counts from now on. Needs nothing but the log."""
    return await desk_of(session).freeze(Trigger.COMMAND, reason, actor=actor)


async def demote(session: Session, component: Component, *, reason: str, actor: str) -> Authority:
    """Take the component's grant away, which freezes the account; raises ``CantChange`` when it has none."""
    return await desk_of(session).demote(component, Ground.COMMAND, reason, actor=actor)


async def grant(session: Session, component: Component, *, audit: str, reason: str, actor: str) -> Authority:
    """Give the grant on an audit; raises ``Refused`` and ``CantChange``."""
    seen = await desk_of(session).standing()
    missing = await missing_for(session, audit, component, after=_last_trigger(seen))
    if missing:
        raise Refused(missing)
    judged_at = await _judged_at(session, audit)
    return await desk_of(session).grant(
        seen, component, audit=audit, judged_at=judged_at, actor=actor, reason=reason
    )


async def unfreeze(session: Session, *, audit: str, actor: str) -> Authority:
    """Lift the freeze on an audit; raises ``Refused`` and ``CantChange``."""
    seen = await desk_of(session).standing()
    judged_at = 0
    if seen.frozen:
        missing = await _missing_to_unfreeze(session, seen, audit)
        if missing:
            raise Refused(missing)
        judged_at = await _judged_at(session, audit)
    return await desk_of(session).unfreeze(seen, audit=audit, judged_at=judged_at, actor=actor)


async def _judged_at(session: Session, audit: str) -> int:
    """When an audit that lacks nothing began."""
    record = await recorded(session.wire, session.keys, audit)
    if record is None:
        raise Refused([f"audit {audit} has just left the log: run `sureclose audit` again"])
    return record.began_at


async def _missing_to_unfreeze(session: Session, seen: Authority, audit: str) -> list[str]:
    """An audit made behind the last trigger, about the component that holds the grant and whose process executes."""
    component = seen.component
    if component is None:
        name = session.execution.path.component
        return [
            "nobody holds the grant: `sureclose authority grant NAME --audit ID` first",
            *await missing_for(session, audit, name, after=_last_trigger(seen)),
        ]
    missing = await missing_for(session, audit, component, after=_last_trigger(seen))
    held = await lease.holder(session.wire, session.keys)
    if held is None:
        missing.append(f"no process of {component} holds the lease: start `sureclose run`")
    else:
        last = await lease.last(session.wire, session.keys)
        # Only controllers leave a trace there: a lease of another epoch is nobody's who may execute.
        known = last is not None and last.epoch == held.epoch
        who = last.component if last is not None and known else f"{held.owner}, which is no controller"
        if who != component:
            missing.append(f"the lease is held by {who}, and {component} holds the grant")
    return missing


def _last_trigger(standing: Authority) -> int | None:
    """When the last thing happened that an audit has to come after: nothing older can speak of it."""
    if not standing.frozen:
        return None
    began = int(standing.freeze.get("at", "0"))
    return max((cause.at for cause in standing.triggers), default=began)
