"""A switch: the grant goes from one component to the other, in two steps of the authority record.

First the record names who is ``next``. Nothing else changes: who holds the grant goes on holding it, and what it has under
way may still pass the gate. Then the grant moves as it is, audit included, in the script that gives up the lease.
"""

from collections.abc import Mapping
from typing import Final

from sureclose.domain.authority import SCOPE, Authority, CantChange, Component

KIND: Final = "SWITCH"
_UNDER_WAY: Final = ("next", "next_at", "next_by")


def next_of(record: Authority) -> str | None:
    """Who is to get the grant, while a switch is under way."""
    return record.grant.get("next")


def leads(record: Authority, component: Component, *, by_default: bool) -> bool:
    """Whether the processes of a component try for the lease: it holds the grant, or nobody does and it is configured."""
    return by_default if record.component is None else record.component == component


def begun(before: Authority, to: Component, at: int, actor: str) -> Authority:
    """With ``to`` named as the next holder; as it was when that holds the grant already.

    Raises ``CantChange`` when there is no grant to move, or it is on its way already.
    """
    holder = before.component
    if holder is None:
        raise CantChange(
            f"nobody holds the grant, so none can be moved: `sureclose authority grant {to} --audit ID`"
        )
    if (under_way := next_of(before)) is not None:
        raise CantChange(
            f"{before.grant['next_by']} is moving the grant to {under_way} since {before.grant['next_at']}; "
            "wait until that is over: `sureclose authority show`"
        )
    if holder == to:
        return before
    named = {"next": str(to), "next_at": str(at), "next_by": actor}
    return _with_grant(before, before.grant | named)


def withdrawn(before: Authority, begun_here: Authority) -> Authority:
    """Without the next holder, if it is still the one that was named in ``begun_here``."""
    if next_of(before) is None or _said(before.grant) != _said(begun_here.grant):
        return before
    return _with_grant(before, _kept(before.grant))


def moved(before: Authority, at: int) -> Authority:
    """The next holder holds the grant. It has the audit of the one that is moved, and no later one; a freeze stays.

    Raises ``CantChange`` when no switch is under way.
    """
    to = next_of(before)
    if to is None:
        raise CantChange("no switch is under way")
    grant = {
        "component": to,
        "scope": SCOPE,
        "kind": KIND,
        "at": str(at),
        "from": before.grant["component"],
        "actor": before.grant["next_by"],
        "audit": before.grant.get("audit", ""),
        "judged_at": str(before.judged_at),
        "reason": f"switched from {before.grant['component']}",
    }
    return _with_grant(before, grant)


def _with_grant(before: Authority, grant: Mapping[str, str]) -> Authority:
    revision = before.revision + 1
    return Authority(revision, {**grant, "revision": str(revision)}, before.freeze)


def _kept(grant: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in grant.items() if name not in _UNDER_WAY}


def _said(grant: Mapping[str, str]) -> list[str | None]:
    return [grant.get(name) for name in _UNDER_WAY]
