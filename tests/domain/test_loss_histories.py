"""Drawn histories of one close whose log forgets its tail at any moment: still one effect, and one true outcome."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain import steps
from sureclose.domain.close import Confirming, Done, New, Waiting, fold
from sureclose.domain.decide import decide
from sureclose.domain.facts import AnyFact, Sending
from sureclose.domain.market import OrderReport
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.quantity import on_step
from sureclose.domain.rebuilding import orphan_of
from tests.domain.drivers import Crashed, History
from tests.domain.scripts import ENTRY, RECV_WINDOW, RULES, Script, milli
from tests.domain.test_close_histories import EXAMPLES, PROPERTY, lags, scripts

WAIT = RECV_WINDOW + 1_100
"""Nothing passes the gate for so long after a loss: window, clock error and margin."""


class Lost(Crashed):
    """The log has lost its tail, and the process what it believed."""


class Forgetful(History):
    """A history that loses, at one step, all records from one of them on; the venue's orders are joined then."""

    def __init__(self, script: Script, lose_at: int, keeps: float) -> None:
        super().__init__(script)
        self._lose_at = lose_at
        self._keeps = keeps
        self._orphans: dict[str, OrderReport] = {}

    def _die(self, down: int) -> None:
        super()._die(down)
        if self._lose_at and len(self.steps) >= self._lose_at:
            self.lose()

    def lose(self) -> None:
        """What the venue does not show of the lost attempts never was, and never will be."""
        self._lose_at = 0
        self.world.advance(self.world.now + WAIT)
        self.inbox.clear()
        journal, world = self.journal, self.world
        del journal.facts[int(len(journal.facts) * self._keeps) :]
        sent = [fact for fact in journal.facts if isinstance(fact, Sending)]
        journal.attempt = sent[-1].attempt if sent else 0
        journal.ended = None
        known = {fact.client_order_id for fact in sent}
        ours = {order.client_order_id: order for order in world.orders.values() if order.own}
        world.sent = [one for one in world.sent if one.client_order_id in known | ours.keys()]
        for name in ours.keys() - known:
            report = ours[name].as_of(world.now)
            assert report is not None
            self._orphans[name] = report

    def _perform(self, effect: steps.AnyEffect) -> steps.AnyEvent:
        event = super()._perform(effect)
        if self._lose_at and len(self.steps) >= self._lose_at:
            raise Lost(0)
        return event

    def _live(self) -> None:
        """As a process takes a close up: what the venue has of it comes first."""
        state = fold(self.journal.facts)
        if isinstance(state, New | Done) and (orphan := self._orphan(state)) is not None:
            self.state = state
            wish = steps.Received(now=self._now(), decision=self.decision, entry=ENTRY, orphan=orphan)
            self._go_on(wish)
            return
        super()._live()

    def _go_on(self, event: steps.AnyEvent) -> None:
        step = decide(self.state, event, self.policy)
        effect = self._taken(event, step)
        while not isinstance(effect, steps.Rest):
            self._pause(effect.delay)
            event = self._perform(effect)
            effect = self._taken(event, decide(self.state, event, self.policy))

    def _orphan(self, state: object) -> OrderReport | None:
        progress = None if isinstance(state, New) else state.progress  # type: ignore[attr-defined]
        return orphan_of(progress, self.decision.plan_id, self._orphans, self.policy)

    def _taken(self, event: steps.AnyEvent, step: steps.Step) -> steps.AnyEffect:
        effect = super()._taken(event, step)
        state = self.state
        if isinstance(state, Waiting | Confirming) and state.progress.orphan is None:
            order = self._orphan(state)
            if order is not None:
                lost = steps.Orphaned(now=self._now(), order=order)
                return self._taken(lost, decide(state, lost, self.policy))
        return effect

    def _done(self, effect: steps.AnyEffect) -> steps.AnyEvent:
        if not isinstance(effect, steps.Adopt):
            return super()._done(effect)
        assert effect.sending.attempt > self.journal.attempt
        known: list[AnyFact] = [*effect.facts]
        self.journal.append(self.unwritten)
        self.journal.append(known)
        self.journal.attempt = effect.sending.attempt
        del self._orphans[effect.sending.client_order_id]
        return steps.Adopted(now=self._now(), facts=effect.facts)

    def _read(self, effect: steps.AnyEffect, requested_at: int, asked_at: int) -> steps.AnyEvent:
        if not isinstance(effect, steps.ReadOrphan):
            return super()._read(effect, requested_at, asked_at)
        evidence = self._evidence(effect.since, requested_at, asked_at)
        return steps.OrphanRead(now=self._now(), evidence=evidence, rules=RULES)


def judged(history: Forgetful, target: Decimal) -> None:
    """One effect: no more than was asked for, all of it unless it grew too old, and the outcome knows how much."""
    filled = history.world.own_filled()
    final = fold(history.journal.facts)
    assert isinstance(final, Done)
    assert history.outcome.kind is not OutcomeKind.PARKED, history.said
    assert final.progress.filled == filled, f"{filled} was filled and {final.progress.filled} is known"
    assert filled <= target
    assert not history._orphans, "each order is an attempt again"
    if target and filled == target:
        kind = OutcomeKind.REDUCED if history.world.amount else OutcomeKind.FLAT
        assert history.outcome.kind is kind, history.said
    else:
        assert history.outcome.reason == "expired" or history.outcome.kind is OutcomeKind.REFUSED, (
            history.said
        )


def played(script: Script, lose_at: int, keeps: float) -> None:
    history = Forgetful(script, lose_at, keeps)
    fraction = Decimal(script.fraction or "1")
    target = on_step(abs(milli(script.position)) * fraction, RULES)
    try:
        history.run()
        if history._lose_at:
            # It had ended before: the log forgets that, and the approval is read again.
            history.lose()
            history.run()
        judged(history, target)
    except BaseException as error:
        error.add_note(f"lose_at={lose_at}, keeps={keeps}\n{history.told()}")
        raise


moments = st.integers(1, 30)
kept = st.sampled_from([0.0, 0.2, 0.5, 0.8, 0.99])


@settings(PROPERTY, max_examples=500 * EXAMPLES)
@given(scripts(), moments, kept)
def test_a_full_close_survives_the_loss_of_any_tail(script: Script, lose_at: int, keeps: float) -> None:
    played(script, lose_at, keeps)


@settings(PROPERTY, max_examples=500 * EXAMPLES)
@given(
    scripts(
        fraction=st.sampled_from(["0.75", "0.5", "0.25", "0.333"]),
        position_lags=lags,
        trade_lags=lags,
        order_lags=lags,
    ),
    moments,
    kept,
)
def test_a_part_is_closed_once_whatever_the_log_forgets(script: Script, lose_at: int, keeps: float) -> None:
    played(script, lose_at, keeps)
