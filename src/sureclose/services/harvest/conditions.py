"""What people have to know of harvest: raised while it is so, cleared when it is over."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sureclose.domain.harvest.wishes import Fate
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.alarms.board import Alarms
from sureclose.services.harvest.asker import Asker
from sureclose.services.harvest.health import Answer, PositionHealth

SUBJECT: Final = "harvest"
LONG_S: Final = 30.0
"""How long nothing may be decided about an open position: a restart and a venue that is busy take less."""
_OURS: Final = (AlarmKind.HARVEST_BLIND, AlarmKind.HARVEST_UNHEEDED)


class Conditions:
    """``monotonic`` gives seconds."""

    def __init__(self, alarms: Alarms, monotonic: Callable[[], float], *, long_s: float = LONG_S) -> None:
        self._alarms = alarms
        self._monotonic = monotonic
        self._long_s = long_s
        self._since: dict[str, float] = {}

    def undecided_s(self, subject: str, answer: Answer) -> float:
        """For how long nothing was decided about it, this answer included."""
        if answer is not Answer.UNDECIDED:
            self._since.pop(subject, None)
            return 0.0
        return self._monotonic() - self._since.setdefault(subject, self._monotonic())

    def tell(self, blind: str, seen: Sequence[PositionHealth] | None, askers: Iterable[Asker]) -> None:
        """``seen`` is every open position, ``None`` while that is not known: then nothing of one is over."""
        self._say(AlarmKind.BLIND, SUBJECT, f"harvest is blind: {blind}" if blind else "", _BLIND)
        for asker in askers:
            if asker.fault or asker.has_answered:
                self._say(AlarmKind.HARVEST_POLICY, asker.name, asker.fault, _POLICY)
        if seen is None:
            return
        for position in seen:
            self._about(position)
        held = {position.subject for position in seen}
        for subject in self._since.keys() - held:
            del self._since[subject]
        for key in list(self._alarms.standing):
            if key.kind in _OURS and key.subject not in held:
                self._alarms.clear(key.kind, key.subject)

    def _about(self, position: PositionHealth) -> None:
        wish, subject = position.wish, position.subject
        if position.answer is not Answer.UNDECIDED:
            self._alarms.clear(AlarmKind.HARVEST_BLIND, subject)
        elif position.undecided_s >= self._long_s:
            what = f"no decision about {subject} for {position.undecided_s:.0f} s: {position.reason}"
            self._say(AlarmKind.HARVEST_BLIND, subject, what, _UNDECIDED, condition=position.condition)
        unheeded, plan_id = "", ""
        if (
            wish is not None
            and wish.fate is Fate.UNTAKEN
            and position.answer in {Answer.WAITS, Answer.PROPOSES}
        ):
            unheeded = f"{wish.name} of {subject} (try {wish.number}) had no effect: {wish.outcome}"
            plan_id = wish.plan_id
        if unheeded or wish is None or wish.is_over:
            self._say(
                AlarmKind.HARVEST_UNHEEDED, subject, unheeded, _UNHEEDED.format(plan_id), plan_id=plan_id
            )

    def _say(self, kind: AlarmKind, subject: str, what: str, remedy: str, **facts: object) -> None:
        if what:
            self._alarms.raise_(kind, subject, what, remedy, **facts)
        else:
            self._alarms.clear(kind, subject)


_BLIND: Final = (
    "look at the venue yourself: nothing is proposed meanwhile; `sureclose doctor` checks key and address"
)
_UNDECIDED: Final = "look at the position yourself; `sureclose harvest status` says what is missing, `sureclose close SYMBOL` closes"
_POLICY: Final = "mend or replace harvest.policy; until then only a hard loss and the maximum age close"
_UNHEEDED: Final = "see `sureclose trace {}` for what stopped it; it is proposed again while its cause stands"
