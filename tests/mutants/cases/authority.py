"""Authority: section 6, and the safety controller's own rule."""

from typing import Final

from tests.mutants.mutant import Mutant

TITLE: Final = "Authority"
_AUTHORITY: Final = "tests/journal/test_authority.py::"
_CONTINUITY: Final = "tests/services/test_continuity.py::"
_SAFETY: Final = "tests/journal/test_safety.py::"

MUTANTS: Final = (
    Mutant(
        name="writes over an authority record that moved meanwhile",
        rule="6",
        file="journal/scripts/fence.lua",
        old="if highest ~= tonumber(revision) then",
        new="if highest < tonumber(revision) then",
        tests=(_AUTHORITY + "test_a_record_that_moved_since_it_was_read_is_not_written_over",),
    ),
    Mutant(
        name="freezes for the absence of one who came back",
        rule="6",
        file="journal/scripts/change.lua",
        old="if ARGV[2] ~= '' and (",
        new="if ARGV[2] == 'never' and (",
        tests=(_AUTHORITY + "test_a_freeze_for_absence_counts_only_while_nobody_came_back",),
    ),
    Mutant(
        name="gives a second grant",
        rule="6",
        file="domain/authority.py",
        old="if holder is not None and holder != component:",
        new="if holder is not None and holder == component:",
        tests=(_AUTHORITY + "test_a_second_grant_is_refused_and_the_first_one_stays",),
    ),
    Mutant(
        name="lifts another freeze than the one that was seen",
        rule="6",
        file="services/authority/freezing.py",
        old="    if before != seen:",
        new="    if before.frozen != seen.frozen:",
        tests=(_AUTHORITY + "test_an_unfreeze_lifts_the_freeze_that_was_seen_and_no_other",),
    ),
    Mutant(
        name="lets a demoted account go on unfrozen",
        rule="6",
        file="domain/authority.py",
        old="    after = freeze(left, cause, positions=positions, least=before.revision + 1)\n",
        new="    after = msgspec.structs.replace(left, revision=before.revision + 1)\n",
        tests=(_AUTHORITY + "test_a_demotion_takes_the_grant_and_freezes_in_one_step",),
    ),
    Mutant(
        name="lets a controller that was away too long go on",
        rule="6",
        file="services/continuity.py",
        old="if gone is not None and gone.ms > 1000 * self._absence_s:",
        new="if gone is not None and gone.ms < 0:",
        tests=(_CONTINUITY + "test_who_comes_back_after_too_long_finds_the_account_frozen",),
    ),
    Mutant(
        name="goes on with closes as old as they are behind an unfreeze",
        rule="1",
        file="services/continuity.py",
        old="if was_frozen and not self._frozen else",
        new="if was_frozen and self.standing is None else",
        tests=(_CONTINUITY + "test_a_reign_ends_when_the_freeze_is_lifted_for_its_closes_have_aged",),
    ),
    Mutant(
        name="closes for safety when nothing is frozen any more",
        rule="6",
        file="journal/scripts/fence.lua",
        old="and not unarmed(freeze_key, safety_key) then",
        new="then",
        tests=(_SAFETY + "test_the_gate_asks_for_freeze_and_arming_again",),
    ),
    Mutant(
        name="keeps the safety controller's right behind its reign",
        rule="6",
        file="journal/scripts/fence.lua",
        old="right == plan_id .. ' ' .. epoch and",
        new="right:sub(1, #plan_id) == plan_id and",
        tests=(_SAFETY + "test_the_right_ends_with_the_reign_that_it_was_given_in",),
    ),
)
