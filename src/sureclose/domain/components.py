"""What runs: the components of the pipeline, and what a process says of each that it runs."""

from typing import Final

import msgspec

from sureclose.domain.authority import Component, Ground

EXIT: Final = "exit"
"""The scope of machine closes."""
NO_SCOPE: Final = "none"

_ROLES: Final = {
    "execution": Component.EXECUTION_SERVICE,
    "safety": Component.SAFETY_CONTROLLER,
}
"""Roles that are not called what their component is called."""
_EXECUTE: Final = frozenset(
    {Component.EXECUTION_SERVICE, Component.HARVEST_BRAIN, Component.SAFETY_CONTROLLER}
)


def component_of(role: str) -> str:
    """The component that a role, or the producer of an event, stands for."""
    return str(_ROLES.get(role, role.replace("-", "_")))


def scope_of(component: str) -> str:
    """What a component could act on, had it the right to."""
    return EXIT if component in _EXECUTE else NO_SCOPE


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a process saw at the venue that must not be. ``at`` is the log's clock in milliseconds."""

    ground: Ground
    subject: str
    what: str
    at: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What only the process itself knows. None is not known, or no part of it; it never stands for zero."""

    lease: str | None = None
    """``held``, ``standing_by`` or ``unknown``."""
    reading: bool | None = None
    """Whether its reader's last read succeeded, lately."""
    waits: str = ""
    """Why it rightly does not read, in the words of ``services.vitals.Waits``."""
    under_way: int | None = None
    broken: dict[str, str] = {}
    """Closes that can't go on there, and why: the first few."""
    queued: int | None = None
    """Orders that wait for a slot within the venue's limits."""
    held_back_ms: int | None = None
    """How long the venue's limits or a ban hold the next order back; 0 is not at all."""
    blind_ms: int | None = None
    """How long positions have been unreadable there; 0 is that they can be read."""
    found: tuple[Found, ...] = ()


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """One component of one process, as it last said so. Times are the log's clock in milliseconds."""

    component: str
    scope: str
    version: str
    host: str
    pid: int
    worker: str
    started_at: int
    at: int
    roles: tuple[str, ...]
    stopped_at: int | None = None
    """When it ended in order; None while it runs, or when it was killed."""
    facts: Facts = Facts()

    @property
    def name(self) -> str:
        """The component and its process: the field that it is kept under."""
        return f"{self.component}@{self.worker}"

    def is_owner(self, owner: str) -> bool:
        """Whether a lease of that owner is this process's, whatever component of it holds it."""
        return owner == self.worker or owner.startswith(f"{self.worker}:")
