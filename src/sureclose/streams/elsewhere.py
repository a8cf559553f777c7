"""What is executable for nobody here: it was decided for another environment, or only rehearsed."""

from typing import Any, Final

import msgspec

from sureclose.domain.words import Mode
from sureclose.streams.fields import DoubtError, Fields, flag_of, shown

_DRY_RUN_WORDS: Final = frozenset({"would_execute", "dry_run", "dry-run", "dryrun"})
_MODES: Final = frozenset(map(str, Mode))
_REAL: Final = "decided to be executed"
OTHER_MODE: Final = "other_mode"
DRY_RUN: Final = "dry_run"


class Bar(msgspec.Struct, frozen=True):
    """The rule that forbids it here, with its threshold and the value seen."""

    rule: str
    threshold: str
    seen: str


def barred(entry: Fields, mode: Mode) -> Bar | None:
    """Why an entry is not for ``mode``, which is the reader's; raises ``DoubtError`` where that can't be told."""
    modes = {word for text in entry.every("mode") if (word := text.strip().lower())}
    if rehearsal := modes & _DRY_RUN_WORDS:
        return Bar(DRY_RUN, _REAL, f"mode {min(rehearsal)}")
    if not modes <= _MODES:
        raise DoubtError(
            f"mode is {shown(min(modes - _MODES))}, which is no environment",
            "write mode as paper, demo or live",
        )
    if others := modes - {mode}:
        return Bar(OTHER_MODE, f"mode {mode}", f"mode {min(others)}")
    return _rehearsed(entry)


def _rehearsed(entry: Fields) -> Bar | None:
    names = ["dry_run", "dryRun", "is_dry_run"]
    if not entry.text("executed"):
        names.append("would_execute")
    said = [(name, flag_of(text)) for name in names for text in entry.every(name)]
    for name, flag in said:
        if flag is True:
            without = " without executed" if name == "would_execute" else ""
            return Bar(DRY_RUN, _REAL, f"{name}=True{without}")
    for name in ("status", "details"):
        if any(text.strip().lower() in _DRY_RUN_WORDS for text in entry.loose(name)):
            return Bar(DRY_RUN, _REAL, f"{name} says that it is a dry run")
    for name in ("steps", "steps_results"):
        if _rehearses(entry.structure(name)):
            return Bar(DRY_RUN, _REAL, f"{name} say what would be done")
    if any(flag is None for _, flag in said):
        raise DoubtError(
            "the flag of a dry run is neither true nor false",
            "write dry_run and would_execute as True or False",
        )
    return None


def _rehearses(steps: Any) -> bool:
    """Whether anything in the steps says that it only would be done."""
    waiting = [steps]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            flags = [found.get(word) for word in _DRY_RUN_WORDS]
            if any(flag_of(flag) for flag in flags if isinstance(flag, str)):
                return True
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
        elif isinstance(found, str) and any(word in found.lower() for word in _DRY_RUN_WORDS):
            return True
    return False
