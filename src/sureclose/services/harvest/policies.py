"""Finds a policy by its name among those that are installed: entry points of the group ``sureclose.policies``."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import msgspec

from sureclose.domain.harvest.asking import NAME
from sureclose.domain.harvest.policy import Policy

GROUP: Final = "sureclose.policies"


class PolicyProblem(Exception):
    """A policy can't be used; the message says which, why, and what to do."""


class NoPolicy(PolicyProblem):
    """No policy of that name is installed."""


class Installed(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One entry point: where it leads, and the package that brought it."""

    name: str
    place: str
    package: str


def installed(found: Iterable[EntryPoint] | None = None) -> list[Installed]:
    """Every policy that there is, by name; none of them is imported for it."""
    points = entry_points(group=GROUP) if found is None else found
    return sorted({_described(point) for point in points})


def load_policy(name: str, found: Iterable[EntryPoint] | None = None) -> Policy:
    """The policy of that name, ready to be asked; raises ``PolicyProblem``."""
    points = list(entry_points(group=GROUP) if found is None else found)
    places = {point.value: point for point in points if point.name == name}
    if not places:
        known = ", ".join(sorted({point.name for point in points})) or "none"
        raise NoPolicy(
            f"there is no policy {name!r}; installed are: {known}. A package brings one by an entry point of the group "
            f"{GROUP!r} (docs/harvest.md)"
        )
    if len(places) > 1:
        where = " and ".join(str(_described(point).package) for point in places.values())
        raise PolicyProblem(
            f"{name!r} is the name of {len(places)} policies, of {where}: uninstall one of them"
        )
    return _made(next(iter(places.values())))


def _made(point: EntryPoint) -> Policy:
    where = f"policy {point.name!r} ({point.value}, of {_described(point).package})"
    try:
        found: Any = point.load()
    except Exception as error:
        raise PolicyProblem(f"{where} can't be imported: {type(error).__name__}: {error}") from error
    if isinstance(found, type) or not hasattr(found, "judge"):
        found = _called(found, where)
    if not callable(getattr(found, "judge", None)):
        raise PolicyProblem(f"{where} is a {type(found).__name__} without a method judge(view)")
    called = getattr(found, "name", None)
    if called != point.name or NAME.fullmatch(point.name) is None:
        raise PolicyProblem(
            f"{where} calls itself {called!r}: its name and that of its entry point must be one, of small letters, digits and "
            "dashes, for intents are named after it"
        )
    policy: Policy = found
    return policy


def _called(found: Any, where: str) -> Any:
    if not callable(found):
        raise PolicyProblem(f"{where} is a {type(found).__name__}, neither a policy nor what makes one")
    try:
        return found()
    except Exception as error:
        raise PolicyProblem(f"{where} can't be made: {type(error).__name__}: {error}") from error


def _described(point: EntryPoint) -> Installed:
    package = "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return Installed(name=point.name, place=point.value, package=package)
