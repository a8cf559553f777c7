"""The contract of policies as checks that any policy can be run through.

It is asked about some thousand views of ``samples.py``. What it calls meanwhile is seen by the interpreter's profiling hook, so
that a policy that looks at a clock is found out at any time of the day.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from types import FrameType
from typing import Any, Final

import msgspec

from sureclose.domain.actions import Closes, classify_action
from sureclose.domain.harvest.asking import NAME, fault_of
from sureclose.domain.harvest.episodes import with_asked
from sureclose.domain.harvest.policy import Policy, Proposal, View
from sureclose.domain.harvest.samples import samples

SLOW_S: Final = 0.05
"""The most work that one answer may be: every position is asked about each second."""
TRIES: Final = 3
"""An answer that was slow is asked for again: the interpreter itself may have been busy with something else."""
ENDLESS: Final = 20
"""So many proposals in one situation have no end: each look there finds another name for the same wish."""
SHOWN: Final = 160


class Clause(StrEnum):
    """What every policy has to keep."""

    NAME = "name"
    RAISES = "raises"
    ANSWER = "answer"
    PURE = "pure"
    DETERMINISTIC = "deterministic"
    INVENTS = "invents"
    GROWS = "grows"
    RENAMES = "renames"
    ENDLESS = "endless"
    SLOW = "slow"


CLAUSES: Final = {
    Clause.NAME: "its name is of small letters, digits and dashes",
    Clause.RAISES: "no view makes it raise",
    Clause.ANSWER: "it answers with a Proposal, a Hold or a NoDecision that can be used: one amount, a Decimal, not more than there is",
    Clause.PURE: "it calls no clock, no chance, no file and no network",
    Clause.DETERMINISTIC: "the same view has the same answer, whatever was asked before it",
    Clause.INVENTS: "it proposes nothing from data that is missing or was refused",
    Clause.GROWS: "it proposes no more when less is there",
    Clause.RENAMES: "the same wish has the same name a moment later",
    Clause.ENDLESS: "one situation leads to few proposals, each made once",
    Clause.SLOW: f"an answer takes at most {SLOW_S * 1000:.0f} ms of work",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A clause that a policy broke, with the first view that showed it, and how many did."""

    clause: Clause
    what: str
    count: int
    view: str


class _Asked(msgspec.Struct, frozen=True):
    """One answer, or what was raised instead of it."""

    answer: Any
    raised: str
    called: tuple[str, ...]
    seconds: float


def check(policy: Policy, worked: Callable[[], float], views: Sequence[View] | None = None) -> list[Finding]:
    """What the policy breaks, one finding a clause, in their order; none is as it should be.

    ``worked`` gives the seconds that this thread has worked; waiting is a matter of purity.
    """
    found: dict[Clause, Finding] = {}
    for clause, what, view in _broken(policy, worked, samples() if views is None else views):
        first = found.get(clause)
        shown = "" if view is None else _shown(view)
        found[clause] = (
            Finding(clause=clause, what=what, count=1, view=shown)
            if first is None
            else msgspec.structs.replace(first, count=first.count + 1)
        )
    return [found[clause] for clause in Clause if clause in found]


def _broken(
    policy: Policy, worked: Callable[[], float], views: Sequence[View]
) -> Iterator[tuple[Clause, str, View | None]]:
    name = getattr(policy, "name", None)
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        yield Clause.NAME, f"it is called {name!r}", None
    answers: list[Any] = []
    for view in views:
        asked = _ask(policy, view, worked)
        answers.append(asked.answer)
        if asked.called:
            yield Clause.PURE, f"it called {', '.join(asked.called)}", view
        if asked.seconds > SLOW_S:
            least = min(asked.seconds, *(_ask(policy, view, worked).seconds for _ in range(TRIES - 1)))
            if least > SLOW_S:
                yield Clause.SLOW, f"it took {least * 1000:.0f} ms", view
        if asked.raised:
            yield Clause.RAISES, asked.raised, view
            continue
        if fault := fault_of(asked.answer, view):
            yield Clause.ANSWER, fault, view
            continue
        for clause, what in _varied(policy, view, asked.answer, worked):
            yield clause, what, view
    for view, answer in zip(reversed(views), reversed(answers), strict=True):
        again = _ask(policy, view, worked).answer
        if again != answer:
            yield Clause.DETERMINISTIC, f"{_told(answer)}, then {_told(again)}", view


def _varied(
    policy: Policy, view: View, answer: Any, worked: Callable[[], float]
) -> Iterator[tuple[Clause, str]]:
    """What an answer has to do with those to views that differ in one thing."""
    if view.mark is None:
        for other in (_ask(policy, one, worked).answer for one in _repriced(view)):
            if other != answer:
                what = f"the mark is not known, and other prices of the position make {_told(other)} of {_told(answer)}"
                yield Clause.INVENTS, what
                break
    if not isinstance(answer, Proposal):
        return
    if view.mark is None and view.market is None and view.episode.opened_at is None:
        yield Clause.INVENTS, f"nothing is known but the position, and it proposes {answer.name}"
    smaller = _ask(policy, _halved(view), worked).answer
    if isinstance(smaller, Proposal) and smaller.name == answer.name:
        less, more = _closes(smaller, _halved(view)), _closes(answer, view)
        if less is not None and more is not None and less > more:
            yield Clause.GROWS, f"{answer.name} is for {more}, and for {less} when half of it is left"
    later = _ask(policy, _later(view), worked).answer
    if isinstance(later, Proposal) and later.name != answer.name and _wish(later) == _wish(answer):
        yield Clause.RENAMES, f"{answer.name} is {later.name} a second later"
    if (names := _names(policy, view, worked)) is not None:
        yield Clause.ENDLESS, f"{', '.join(names[:3])}, and so on"


def _names(policy: Policy, view: View, worked: Callable[[], float]) -> list[str] | None:
    """The names of what is proposed while the situation stays as it is and time goes on; ``None`` where it comes to an end."""
    names: list[str] = []
    while len(names) < ENDLESS:
        answer = _ask(policy, view, worked).answer
        if not isinstance(answer, Proposal) or fault_of(answer, view) or answer.name in view.episode.asked:
            return None
        names.append(answer.name)
        view = msgspec.structs.replace(_later(view), episode=with_asked(view.episode, answer))
    return names


def _later(view: View) -> View:
    """A second later, in which nothing was read anew."""
    return msgspec.structs.replace(view, now=view.now + 1_000)


def _halved(view: View) -> View:
    half = msgspec.structs.replace(view.position, amount=view.position.amount / 2)
    return msgspec.structs.replace(view, position=half)


def _repriced(view: View) -> Iterator[View]:
    """Other prices in the row of the position: a gain, a loss, and another scale. A policy that needs a mark sees none in them."""
    row = view.position
    for entry, mark in ((1, 3), (3, 1), (3, 3)):
        prices = {"entry_price": row.entry_price * entry, "mark_price": row.mark_price * mark}
        yield msgspec.structs.replace(view, position=msgspec.structs.replace(row, **prices))


def _wish(proposal: Proposal) -> tuple[Any, ...]:
    return proposal.action, proposal.fraction, proposal.quantity, proposal.rung


def _closes(proposal: Proposal, view: View) -> Decimal | None:
    """How much it closes, unsigned."""
    if isinstance(proposal.quantity, Decimal):
        return proposal.quantity
    action = classify_action(proposal.action)
    fraction = action.fraction if isinstance(action, Closes) else proposal.fraction
    return fraction * abs(view.position.amount) if isinstance(fraction, Decimal) else None


# What it calls -------------------------------------------------------------------------------------------------------

_OUTSIDE: Final = frozenset(
    {
        "time",
        "random",
        "_random",
        "_io",
        "io",
        "_socket",
        "select",
        "posix",
        "nt",
        "_posixsubprocess",
        "_ssl",
        "secrets",
    }
)
"""Modules of C functions that tell a time, a number by chance, or something from outside."""
_WORDS: Final = frozenset({"print", "input", "open", "breakpoint"})
_TODAY: Final = frozenset({"now", "utcnow", "today"})


def _ask(policy: Policy, view: View, worked: Callable[[], float]) -> _Asked:
    called: dict[str, None] = {}

    def see(_frame: FrameType, event: str, called_one: Any) -> None:
        if event == "c_call" and (name := _outside(called_one)):
            called[name] = None

    before, began = sys.getprofile(), worked()
    answer, raised = None, ""
    sys.setprofile(see)
    try:
        answer = policy.judge(view)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - not swallowed: it is what the policy did
        raised = f"{type(error).__name__}: {error}"
    finally:
        sys.setprofile(before)
    return _Asked(answer, raised, tuple(called), worked() - began)


def _outside(function: Any) -> str:
    """The name of a C function that a pure function has no use for; empty for any other."""
    name = str(getattr(function, "__name__", ""))
    owner = getattr(function, "__self__", None)
    kind = owner if isinstance(owner, type) else type(owner)
    if kind.__module__ == "datetime" and name in _TODAY:
        return f"{kind.__name__}.{name}"
    module = getattr(function, "__module__", None) or kind.__module__
    if module in _OUTSIDE or kind.__module__ in _OUTSIDE:
        return f"{module.removeprefix('_')}.{name}"
    return name if module == "builtins" and name in _WORDS else ""


# How it is told --------------------------------------------------------------------------------------------------------


def _told(answer: Any) -> str:
    match answer:
        case Proposal(name=name):
            return f"the proposal {name}"
        case None:
            return "nothing"
        case _:
            return f"a {type(answer).__name__}"


def _shown(view: View) -> str:
    mark = "none" if view.mark is None else f"{view.mark.price:f}"
    market = (
        "none" if view.market is None else f"p_trend {view.market.p_trend:.2f} sigma {view.market.sigma:.4f}"
    )
    opened = view.episode.opened_at
    age = "unknown" if opened is None else f"{(view.now - opened) / 3_600_000:.1f} h"
    text = (
        f"amount {view.position.amount:f}, entry {view.position.entry_price:f}, mark {mark}, market {market}, age {age}, "
        f"rung {view.episode.rung}"
    )
    return text[:SHOWN]
