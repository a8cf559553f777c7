"""The routes by which approved decisions reach the close engine: who reads which stream, in which group."""

from collections.abc import Collection

import msgspec

from sureclose.domain.authority import Component
from sureclose.services.settings import (
    HarvestBrainSettings,
    HarvestExecutor,
    Path,
    Role,
    StreamSettings,
)
from sureclose.streams.names import StreamName


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where one path's executor reads. ``name`` is its stage's, ``role`` the role that runs it."""

    path: Path
    role: Role
    name: str
    source: StreamName
    group: str

    @property
    def component(self) -> Component:
        return self.path.component


def executors(streams: StreamSettings, harvest: HarvestBrainSettings) -> tuple[Route, ...]:
    """Every route that ends in a close engine of ours, PATH 1B first."""
    exits = Route(
        path=Path.EXECUTION_SERVICE,
        role=Role.EXECUTION,
        name=Role.EXECUTION,
        source=StreamName.APPLY_RESULT,
        group=streams.execution_group,
    )
    if harvest.executor is HarvestExecutor.ENGINE:
        return exits, brain(streams)
    handed_over = Route(
        path=Path.HARVEST_BRAIN,
        role=Role.EXECUTION,
        name=HANDED_OVER,
        source=StreamName.TRADE_INTENT,
        group=streams.handover_group,
    )
    return exits, handed_over


def brain(streams: StreamSettings) -> Route:
    """The harvest brain's own: it executes what comes there, or hands it over."""
    return Route(
        path=Path.HARVEST_BRAIN,
        role=Role.HARVEST_BRAIN,
        name=Role.HARVEST_BRAIN,
        source=StreamName.APPLY_RESULT,
        group=streams.harvest_brain_group,
    )


HANDED_OVER = "execution-handover"
"""The stage of the execution service that reads what the harvest brain hands over."""


def readers(streams: StreamSettings, harvest: HarvestBrainSettings, path: Path) -> dict[StreamName, str]:
    """The streams that a path's approvals come by, and the group that reads each of them there."""
    found = {StreamName.APPLY_RESULT: streams.harvest_brain_group} if path is Path.HARVEST_BRAIN else {}
    return found | {route.source: route.group for route in executors(streams, harvest) if route.path is path}


def other_reader(streams: StreamSettings, harvest: HarvestBrainSettings, route: Route) -> str | None:
    """The group of the other path on a route's own stream."""
    other = next(path for path in Path if path is not route.path)
    return readers(streams, harvest, other).get(route.source)


def roles_of(path: Path, harvest: HarvestBrainSettings) -> tuple[Role, ...]:
    """The roles without which a path closes nothing."""
    if path is Path.EXECUTION_SERVICE:
        return (Role.EXECUTION,)
    if harvest.executor is HarvestExecutor.ENGINE:
        return (Role.HARVEST_BRAIN,)
    return Role.HARVEST_BRAIN, Role.EXECUTION


def default_roles(path: Path, harvest: HarvestBrainSettings) -> tuple[Role, ...]:
    """What ``run`` does unless it is told: the pipeline, with the executor of the configured path."""
    return Role.INTENT_EXECUTOR, Role.APPLY_LAYER, *roles_of(path, harvest)


def stages_of(
    roles: Collection[Role], streams: StreamSettings, harvest: HarvestBrainSettings
) -> tuple[str, ...]:
    """The names of the readers in a process with these roles. The safety controller and harvest read no entries."""
    routes = (route.name for route in executors(streams, harvest) if route.role in roles)
    reading = (role for role in roles if role not in {Role.SAFETY, Role.HARVEST})
    return tuple(dict.fromkeys((*reading, *routes)))
