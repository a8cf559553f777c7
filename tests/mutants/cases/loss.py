"""Loss of the log: section 7, and what section 6 says of it."""

from typing import Final

from tests.mutants.mutant import Mutant

TITLE: Final = "Loss of the log"
_LOSS: Final = "tests/journal/test_loss.py::"
_CONTINUITY: Final = "tests/services/test_continuity.py::"
_REBUILDING: Final = "tests/domain/test_rebuilding.py::"

MUTANTS: Final = (
    Mutant(
        name="writes to a log that lacks what it acknowledged",
        rule="7",
        file="journal/scripts/fence.lua",
        old="tonumber(log[2] or '0') < tonumber(count) then",
        new="tonumber(log[2] or '0') < 0 then",
        tests=(_LOSS + "test_no_script_writes_to_a_log_that_is_not_the_one_that_was",),
    ),
    Mutant(
        name="sends under the id of an order that the log had lost",
        rule="7",
        file="journal/scripts/gate.lua",
        old="redis.call('HEXISTS', KEYS[14], ARGV[#ARGV - 2]) == 1 then",
        new="redis.call('HEXISTS', KEYS[14], ARGV[#ARGV - 2]) == 2 then",
        tests=(_LOSS + "test_an_id_that_was_used_passes_no_gate",),
    ),
    Mutant(
        name="gives out an epoch again after a loss",
        rule="7",
        file="journal/scripts/lease_take.lua",
        old="or '0'), tonumber(ARGV[3]))",
        new="or '0'), 0)",
        tests=(_LOSS + "test_the_epoch_goes_on_above_what_was_given_out",),
    ),
    Mutant(
        name="asks the venue while an order may still be on the way",
        rule="7",
        file="services/continuity.py",
        old="        while now <= safe:\n",
        new="        while now < 0 < safe:\n",
        tests=(_CONTINUITY + "test_after_a_loss_the_venue_is_asked_when_nothing_can_be_on_the_way",),
    ),
    Mutant(
        name="goes on without the authority record that was known",
        rule="6",
        file="services/continuity.py",
        old="        if found == kept:\n",
        new="        if found == kept or not found.recorded:\n",
        tests=(_CONTINUITY + "test_an_authority_record_that_is_not_the_known_one_is_frozen",),
    ),
    Mutant(
        name="sends a lost attempt again",
        rule="I2",
        file="domain/rebuilding.py",
        old="    if isinstance(state, InFlight):\n        state = Unknown(state.progress, state.sending)\n",
        new="",
        tests=(_REBUILDING + "test_nothing_that_is_said_of_a_lost_attempt_sends_it",),
    ),
    Mutant(
        name="looks for the next attempt only among what was lost",
        rule="I2",
        file="domain/rebuilding.py",
        old="AHEAD: Final = 128\n",
        new="AHEAD: Final = 1\n",
        tests=(_REBUILDING + "test_attempts_that_left_no_order_are_stepped_over",),
    ),
    Mutant(
        name="skips an executed close as too old after a loss",
        rule="7",
        file="domain/waiting.py",
        old="    if event.orphan is not None:\n",
        new="    if event.orphan is not None and not too_late:\n",
        tests=(
            _REBUILDING + "test_an_executed_close_whose_records_are_gone_comes_to_the_same_end_at_any_age",
        ),
    ),
)
