"""Puts views to a policy in a thread of its own, for so long and no longer (incident 26)."""

import asyncio
import contextlib
import threading
from typing import Final

from sureclose.domain.harvest.asking import ask
from sureclose.domain.harvest.policy import Condition, Judgement, NoDecision, Policy, Proposal, View
from sureclose.domain.harvest.protective import hard_loss, max_age

PATIENCE_S: Final = 1.0
"""How long one answer may take; the reference needs a few milliseconds at most."""
LATE_MOST: Final = 4
"""Positions whose answers may be late at once. A thread can't be ended from outside, so beyond that nothing more is asked."""
AT_ONCE: Final = 8
"""Positions that are asked about at once: one that takes its time holds up no other."""

FALLBACK: Final = (hard_loss, max_age)
"""The stated rule where a policy has none: what protects goes on, whatever else is broken."""
BROKEN: Final = frozenset({Condition.POLICY_FAILED, Condition.POLICY_BROKE_CONTRACT})


class Asker:
    """One policy."""

    def __init__(self, policy: Policy, *, patience_s: float = PATIENCE_S) -> None:
        self._policy = policy
        self._patience_s = patience_s
        self._room = asyncio.Semaphore(AT_ONCE)
        self._late: set[str] = set()
        """The positions about which it owes an answer: about each of them one thread waits, and no second."""
        self._faults: dict[str, str] = {}
        self._answered = False

    @property
    def name(self) -> str:
        return self._policy.name

    @property
    def has_answered(self) -> bool:
        """Since the start: before that it can't be said to work."""
        return self._answered

    @property
    def fault(self) -> str:
        """Why it gave no answer about some position, if so; empty while it works."""
        return next(iter(self._faults.values()), "")

    def forget_all_but(self, subjects: set[str]) -> None:
        """Faults about positions that are gone are over."""
        for subject in self._faults.keys() - subjects:
            del self._faults[subject]

    async def ask(self, subject: str, view: View) -> Judgement:
        """Its answer about the position, or why there is none."""
        answer = await self._answer(subject, view)
        if isinstance(answer, NoDecision) and answer.condition in BROKEN:
            self._faults[subject] = answer.why
        else:
            self._faults.pop(subject, None)
            self._answered = True
        return answer

    async def _answer(self, subject: str, view: View) -> Judgement:
        async with self._room:
            if subject in self._late:
                why = f"{self.name} still owes its last answer about it, and is not asked again before that comes"
                return NoDecision(Condition.POLICY_FAILED, why)
            if len(self._late) >= LATE_MOST:
                why = f"{self.name} owes {len(self._late)} answers that are late, and is not asked before it gives one"
                return NoDecision(Condition.POLICY_FAILED, why)
            answer = self._begun(view)
            done, _ = await asyncio.wait({answer}, timeout=self._patience_s)
        if done:
            return answer.result()
        self._late.add(subject)
        answer.add_done_callback(lambda _: self._late.discard(subject))
        return NoDecision(
            Condition.POLICY_FAILED, f"{self.name} did not answer within {self._patience_s:g} s"
        )

    def _begun(self, view: View) -> asyncio.Future[Judgement]:
        """The answer to be, from a thread that ends with the process if it does not end by itself."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Judgement] = loop.create_future()

        def work() -> None:
            found: Judgement
            try:
                found = ask(self._policy, view)
            except SystemExit as error:  # it would end this thread and no more
                why = f"{self.name} raised {type(error).__name__}: {error}"
                found = NoDecision(Condition.POLICY_FAILED, why)
            # A process that ends does not wait for it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(answer.set_result, found)

        threading.Thread(target=work, name=f"policy {self.name}", daemon=True).start()
        return answer


def fall_back(view: View, failed: NoDecision) -> Judgement:
    """What the rules that protect say in the place of a policy that failed; else its failure."""
    for rule in FALLBACK:
        found = rule(view)
        if isinstance(found, Proposal) and found.name not in view.episode.asked:
            return found
    return failed
