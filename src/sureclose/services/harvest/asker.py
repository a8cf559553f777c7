"""Puts views to a policy in a thread of its own, for so long and no longer (incident 26)."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from sureclose.domain.harvest.asking import ask
from sureclose.domain.harvest.policy import Condition, Judgement, NoDecision, Policy, Proposal, View
from sureclose.domain.harvest.protective import hard_loss, max_age

PATIENCE_S: Final = 1.0
"""How long one answer may take; the reference needs a few milliseconds at most."""
STUCK_MOST: Final = 4
"""Answers that may be owed at once. A thread can't be ended from outside, so beyond that nobody is asked."""

FALLBACK: Final = (hard_loss, max_age)
"""The stated rule where a policy has none: what protects goes on, whatever else is broken."""
BROKEN: Final = frozenset({Condition.POLICY_FAILED, Condition.POLICY_BROKE_CONTRACT})


class Asker:
    """One policy. ``fault`` says why its last answer was none; empty while it works. ``monotonic`` gives seconds."""

    def __init__(
        self, policy: Policy, monotonic: Callable[[], float], *, patience_s: float = PATIENCE_S
    ) -> None:
        self._policy = policy
        self._monotonic = monotonic
        self._patience_s = patience_s
        self._owed: dict[int, float] = {}
        self._number = 0
        self._faults: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self._policy.name

    @property
    def fault(self) -> str:
        """What is wrong with it about some position, if anything is."""
        return next(iter(self._faults.values()), "")

    def forget_all_but(self, subjects: set[str]) -> None:
        """Faults about positions that are gone are over."""
        for subject in self._faults.keys() - subjects:
            del self._faults[subject]

    async def ask(self, subject: str, view: View) -> Judgement:
        """Its answer about the position, or why there is none."""
        answer = await self._answer(view)
        if isinstance(answer, NoDecision) and answer.condition in BROKEN:
            self._faults[subject] = answer.why
        else:
            self._faults.pop(subject, None)
        return answer

    async def _answer(self, view: View) -> Judgement:
        if len(self._owed) >= STUCK_MOST:
            longest = self._monotonic() - min(self._owed.values())
            return NoDecision(
                Condition.POLICY_FAILED,
                f"{self.name} owes {len(self._owed)} answers, the oldest for {longest:.0f} s",
            )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Judgement] = loop.create_future()
        self._number += 1
        number = self._number
        self._owed[number] = self._monotonic()

        def told(found: Judgement) -> None:
            self._owed.pop(number, None)
            if not answer.done():
                answer.set_result(found)

        def work() -> None:
            found = ask(self._policy, view)
            if not loop.is_closed():
                loop.call_soon_threadsafe(told, found)

        threading.Thread(target=work, name=f"policy {self.name}", daemon=True).start()
        try:
            return await asyncio.wait_for(answer, self._patience_s)
        except TimeoutError:
            why = f"{self.name} did not answer within {self._patience_s:g} s"
            return NoDecision(Condition.POLICY_FAILED, why)


def fall_back(view: View, failed: NoDecision) -> Judgement:
    """What the rules that protect say in the place of a policy that failed; else its failure."""
    for rule in FALLBACK:
        found = rule(view)
        if isinstance(found, Proposal) and found.name not in view.episode.asked:
            return found
    return failed
