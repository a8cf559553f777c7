"""``authority choose``: both paths as they are in this very deployment, and what to do to execute on one of them."""

from collections.abc import Iterator
from typing import Final

import msgspec

from sureclose.domain.authority import Authority
from sureclose.domain.times import iso_ms
from sureclose.journal import authority, lease
from sureclose.operate.leading import LIVELY_MS, executor_alive, is_ours
from sureclose.operate.session import Session
from sureclose.services.routes import readers, roles_of
from sureclose.services.settings import Path
from sureclose.streams.groups import backlog, group_info, stream_info


class GroupState(msgspec.Struct, frozen=True, kw_only=True):
    """One group of a path. What is None is not known; ``readable`` and ``lost`` are entries that it was not given."""

    stream: str
    group: str
    exists: bool
    readable: int | None = None
    lost: int | None = None
    pending: int | None = None
    last_delivery: str | None = None
    live: tuple[str, ...] = ()
    """Consumers of ours that read now."""
    foreign: tuple[str, ...] = ()
    """Consumers that read now and are none of ours."""

    @property
    def dead(self) -> bool:
        """Whether it is there, owes something, and nobody reads it."""
        owes = self.readable != 0 or bool(self.lost) or bool(self.pending)
        return self.exists and not self.live and owes


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One path as it is now."""

    path: Path
    component: str
    roles: tuple[str, ...]
    configured: bool
    holds_grant: bool
    alive: bool
    missing: tuple[str, ...]
    """What there has to be before it can execute."""
    groups: tuple[GroupState, ...]


class Step(msgspec.Struct, frozen=True):
    """One command, and what is expected to be seen."""

    do: str
    expect: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What is so, and what to do, in this order: before, deployment, switch, configuration, verification, audit."""

    path: Path
    component: str
    grant: dict[str, str]
    freeze: dict[str, str]
    lease: str | None
    options: tuple[Option, ...]
    before: tuple[Step, ...]
    deployment: tuple[Step, ...]
    switch: tuple[Step, ...]
    verification: tuple[Step, ...]
    audit: tuple[Step, ...]


async def choose(session: Session, path: Path, *, own_log: bool) -> Choice:
    """Look at both paths; nothing is changed. ``own_log`` is whether the log is embedded, so that one process is all there is.

    Raises what the log raises.
    """
    standing = await authority.standing(session.wire, session.keys)
    held = await lease.holder(session.wire, session.keys)
    options = tuple([await _option(session, one, standing) for one in Path])
    chosen = next(option for option in options if option.path is path)
    return Choice(
        path=path,
        component=path.component,
        grant=standing.grant,
        freeze=standing.freeze,
        lease=None if held is None else held.owner,
        options=options,
        before=tuple(_before(chosen)),
        deployment=tuple(_deployment(chosen, own_log=own_log)),
        switch=tuple(_switch(chosen, standing)),
        verification=tuple(_verification(chosen)),
        audit=tuple(_audit(chosen, standing)),
    )


async def _option(session: Session, path: Path, standing: Authority) -> Option:
    missing = await executor_alive(session, path)
    return Option(
        path=path,
        component=path.component,
        roles=roles_of(path, session.harvest_brain),
        configured=session.execution.path is path,
        holds_grant=standing.component == path.component,
        alive=not missing,
        missing=tuple(missing),
        groups=tuple(
            [
                await _group(session, path, session.streams.full(stream), group)
                for stream, group in readers(session.streams, session.harvest_brain, path).items()
            ]
        ),
    )


async def _group(session: Session, path: Path, stream: str, group: str) -> GroupState:
    info, found = await stream_info(session.wire, stream), await group_info(session.wire, stream, group)
    if info is None or found is None:
        return GroupState(stream=stream, group=group, exists=False)
    owed, roles = backlog(info, found), roles_of(path, session.harvest_brain)
    lively = [one for one in found.consumers if one.idle_ms < LIVELY_MS]
    return GroupState(
        stream=stream,
        group=group,
        exists=True,
        readable=owed.readable,
        lost=owed.lost,
        pending=found.pending,
        last_delivery=None if owed.delivered_at is None else iso_ms(owed.delivered_at),
        live=tuple(one.name for one in lively if is_ours(one, roles)),
        foreign=tuple(one.name for one in lively if not is_ours(one, roles)),
    )


def _before(chosen: Option) -> Iterator[Step]:
    for group in chosen.groups:
        if group.foreign:
            yield Step(
                f"stop the service that reads {group.stream} as {', '.join(group.foreign)}",
                "`sureclose doctor` names no second submitter any more: two of them would be two orders",
            )
        if group.dead:
            yield Step(
                f"sureclose backlog plan {group.group}",
                f"{_count(group.readable)} readable and {_count(group.lost)} lost entries by age and class; what would be "
                "sent is normally nothing",
            )
            yield Step(
                f"sureclose backlog drain {group.group} --yes",
                "every stale entry has its outcome, SKIPPED(expired); none was sent; fresh ones are left pending",
            )


def _deployment(chosen: Option, *, own_log: bool) -> Iterator[Step]:
    if chosen.alive:
        yield Step(
            "sureclose doctor",
            f"{' and '.join(group.group for group in chosen.groups)} read by {', '.join(_live(chosen))}: nothing to start",
        )
        return
    wanted = ",".join(chosen.roles)
    if own_log:
        yield Step(
            "systemctl edit sureclose",
            "ExecStart= and then ExecStart=/opt/sureclose/bin/sureclose --config %d/sureclose.toml run --roles "
            f"{','.join(_ALL)} under [Service]: the log is embedded, so both executors live in its one process",
        )
        yield Step(
            "systemctl restart sureclose", "`journalctl -u sureclose -g effective=` says what each path does"
        )
        return
    instance = chosen.roles[0] if len(chosen.roles) == 1 else f"path-{chosen.path.lower()}"
    if len(chosen.roles) > 1:
        yield Step(f"echo 'ROLES={wanted}' > /etc/sureclose/{instance}.env", "the set of roles has a name")
    yield Step(
        f"echo 'SURECLOSE__HTTP__PORT=8711' >> /etc/sureclose/{instance}.env",
        "a port of its own, if the other runs on this machine",
    )
    yield Step(
        f"systemctl enable --now sureclose@{instance}",
        f"`journalctl -u sureclose@{instance} -g effective=` says "
        + ("effective=executing" if chosen.holds_grant else "effective=observing: nothing is sent yet"),
    )


def _switch(chosen: Option, standing: Authority) -> Iterator[Step]:
    if not standing.grant or chosen.holds_grant:
        return
    yield Step(
        f"sureclose authority switch {chosen.path}",
        f"{chosen.component} holds the grant and executes; {standing.component} observes",
    )


def _verification(chosen: Option) -> Iterator[Step]:
    groups = ", ".join(group.group for group in chosen.groups)
    yield Step(
        "sureclose authority show",
        f"{chosen.component} is the only CONTROLLER; the other is OBSERVER or DEAD",
    )
    yield Step("sureclose doctor", f"no check fails; {groups} live, unread 0; no second submitter")
    yield Step("sureclose close SYMBOL --wait", "FLAT, by a person's warrant, on this path")
    yield Step("sureclose trace PLAN_ID", f"its entry was read in {groups}")


def _audit(chosen: Option, standing: Authority) -> Iterator[Step]:
    yield Step("sureclose prove", "6 of 6 hold; the second names the groups of this path")
    yield Step(f"sureclose audit --component {chosen.component}", "all five questions pass; it prints its ID")
    if not standing.grant:
        yield Step(
            f"sureclose authority grant {chosen.component} --audit ID", f"{chosen.component} holds the grant"
        )
    if standing.frozen or not standing.grant:
        yield Step("sureclose unfreeze --audit ID", "not frozen any more")
    yield Step("sureclose authority show", "one controller, and its evidence is fresh")


def _live(chosen: Option) -> list[str]:
    return [name for group in chosen.groups for name in group.live]


def _count(number: int | None) -> str:
    return "an unknown number of" if number is None else str(number)


_ALL: Final = ("intent-executor", "apply-layer", "execution", "harvest-brain")
