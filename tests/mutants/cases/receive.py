"""Receiving: what is an approval, which one is it, and how old may it be."""

from typing import Final

from tests.mutants.mutant import Mutant

TITLE: Final = "Receive"
_RULES: Final = "tests/streams/test_codec_rules.py::"
_CLOSE: Final = "tests/domain/test_close_rules.py::"

MUTANTS: Final = (
    Mutant(
        name="executes what was not approved",
        rule="I6",
        file="streams/codec.py",
        old="if False in approved:",
        new="if False in approved and decision != 'CLOSE':",
        tests=(_RULES + "test_approval_is_given_when_absent_and_denied_when_false",),
    ),
    Mutant(
        name="executes what was executed already",
        rule="I6",
        file="streams/codec.py",
        old="if True in executed:",
        new="if True in executed and decision in _NOT_A_CLOSE:",
        tests=(_RULES + "test_what_was_executed_is_never_a_close",),
    ),
    Mutant(
        name="executes a dry run",
        rule="I6",
        file="streams/codec.py",
        old="return barred(entry, rules.mode, rehearses=rules.rehearses) or (",
        new="return (",
        tests=(_RULES + "test_a_rehearsal_is_executable_for_nobody",),
    ),
    Mutant(
        name="executes what was decided for another environment",
        rule="I6",
        file="streams/elsewhere.py",
        old="if others := modes - {mode}:",
        new="if others := modes - _MODES:",
        tests=(_RULES + "test_incident_45_what_was_decided_for_one_environment_is_executable_in_no_other",),
    ),
    Mutant(
        name="takes EXECUTE for an approval without being told to",
        rule="I6",
        file="streams/codec.py",
        old='if decision == "EXECUTE" and not rules.execute_is_approval:',
        new='if decision == "EXECUTE" and rules.execute_is_approval is None:',
        tests=(_RULES + "test_execute_approves_only_where_the_configuration_says_so",),
    ),
    Mutant(
        name="dedupes on the stream entry instead of the plan",
        rule="1",
        file="services/engine.py",
        old="        self._held.add(entry.ref.entry_id)\n",
        new="        decision = msgspec.structs.replace(decision, plan_id=entry.ref.entry_id)\n"
        "        self._held.add(entry.ref.entry_id)\n",
        tests=("tests/services/test_engine.py::test_a_plan_that_is_delivered_again_has_one_effect",),
    ),
    Mutant(
        name="admits a close whose outcome has burnt its id",
        rule="1",
        file="domain/close.py",
        old="if isinstance(fact, facts.Admitted) and state.ended.outcome.kind is OutcomeKind.SKIPPED:",
        new="if isinstance(fact, facts.Admitted):",
        tests=(_CLOSE + "test_every_other_outcome_burns_the_id",),
    ),
    Mutant(
        name="burns the id of a close that was skipped",
        rule="1",
        file="domain/close.py",
        old="if isinstance(fact, facts.Admitted) and state.ended.outcome.kind is OutcomeKind.SKIPPED:",
        new="if isinstance(fact, facts.Admitted) and state.ended.outcome.kind is None:",
        tests=(_CLOSE + "test_a_skipped_close_does_not_burn_its_id_and_goes_on_counting_attempts",),
    ),
    Mutant(
        name="takes a skipped close up with attempts counted from one",
        rule="3",
        file="domain/close.py",
        old="attempt=before.attempt, ",
        new="",
        tests=(_CLOSE + "test_a_skipped_close_does_not_burn_its_id_and_goes_on_counting_attempts",),
    ),
    Mutant(
        name="executes an approval older than it may be",
        rule="1",
        file="domain/planning.py",
        old="    if age <= max_age:\n",
        new="    if age <= max_age or wish.expires_at is None:\n",
        tests=(_CLOSE + "test_age_is_judged_again_after_a_restart_in_every_state",),
    ),
    Mutant(
        name="lets the general age overrule an expiry",
        rule="1",
        file="domain/planning.py",
        old="        if now <= wish.expires_at:\n            return None\n",
        new="        if now <= wish.expires_at and now - wish.origin_at <= max_age:\n            return None\n",
        tests=(_CLOSE + "test_an_expiry_overrules_the_general_age_both_ways",),
    ),
    Mutant(
        name="does not judge the age again after a restart",
        rule="I8",
        file="domain/waiting.py",
        old="            too_late = stale(progress, event.now, policy)\n",
        new='            too_late = ""\n',
        tests=(_CLOSE + "test_age_is_judged_again_after_a_restart_in_every_state",),
    ),
    Mutant(
        name="sends a further attempt after a restart however old the approval is",
        rule="I8",
        file="domain/moves.py",
        old="    if too_late:\n        progress = ",
        new="    if too_late and not too_late:\n        progress = ",
        tests=(_CLOSE + "test_age_is_judged_again_after_a_restart_in_every_state",),
    ),
    Mutant(
        name="lets a close age out while it waits for the venue's limits",
        rule="1",
        file="domain/waiting.py",
        old='    if expired(progress, event.now):\n        return stop(progress, "expired")\n    if progress.ending:',
        new='    if stale(progress, event.now, policy):\n        return stop(progress, "expired")\n'
        "    if progress.ending:",
        tests=(_CLOSE + "test_age_is_not_judged_while_the_venue_makes_a_close_wait",),
    ),
    Mutant(
        name="does not judge the expiry before the gate",
        rule="1",
        file="domain/waiting.py",
        old='    if expired(progress, event.now):\n        return stop(progress, "expired")\n    if progress.ending:',
        new="    if progress.ending:",
        tests=(_CLOSE + "test_an_expiry_is_judged_at_every_read_and_told_to_the_gate",),
    ),
    Mutant(
        name="does not judge the expiry at the gate",
        rule="I6",
        file="services/closing.py",
        old="if effect.expires_at is not None and self._now() > effect.expires_at:",
        new="if effect.expires_at is not None and self._now() < 0:",
        tests=("tests/services/test_closing.py::test_what_expires_while_it_waits_for_a_slot_is_not_sent",),
    ),
    Mutant(
        name="ignores that the position was closed and opened anew",
        rule="1",
        file="domain/waiting.py",
        old="if went_through_zero(position.amount, news, doubtful_until):",
        new="if went_through_zero(position.amount, (), doubtful_until):",
        tests=(_CLOSE + "test_a_position_that_was_opened_anew_after_the_decision_is_not_touched",),
    ),
    Mutant(
        name="closes a position of the other sign",
        rule="1",
        file="domain/sameness.py",
        old="if decision.position_amt is not None and decision.position_amt * position.amount < 0:",
        new="if decision.position_amt is not None and decision.position_amt * position.amount < -1_000_000:",
        tests=(_CLOSE + "test_a_position_that_changed_its_sign_after_the_decision_is_not_touched",),
    ),
    Mutant(
        name="judges sameness by trades that are behind the position",
        rule="1",
        file="domain/waiting.py",
        old="        if incomplete or ",
        new="        if ",
        tests=(_CLOSE + "test_a_list_of_trades_that_is_behind_the_position_is_read_again",),
    ),
)
