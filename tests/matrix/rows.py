"""The rows of the matrix: every fault point, the stories that reach it, and what is promised there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sureclose.fault_points import FaultPoint
from tests.matrix.running import Crash, Played
from tests.matrix.stories import (
    AGAIN,
    ALL_OF_IT,
    BLOCKED,
    CONFLICT,
    EXPIRED,
    FLAT_ALREADY,
    HALVES,
    LEFTOVER,
    LOST_ORDER,
    ORPHANS,
    PART,
    SEEN,
    SPLIT,
    STOPPED,
    UNREADABLE,
    WISH,
    Story,
)


@dataclass(frozen=True)
class Row:
    """One point. ``durable`` is what the log holds of the step then, ``then`` what a restart does about it.

    Of the stories the first is the one that pairs are played with. Each is crashed the ``time``-th time it comes by.
    A point that no story of a close comes by is crashed at ``elsewhere``, in the test of that name.
    """

    point: FaultPoint
    durable: str
    then: str
    stories: tuple[tuple[Story, int], ...] = ()
    elsewhere: str = ""

    def crashes(self) -> Iterator[tuple[Story, Crash]]:
        for story, time in self.stories:
            yield story, Crash(self.point, time)


def _around(
    step: str, before: str, after: str, then: str, *stories: Story | tuple[Story, int], then_after: str = ""
) -> tuple[Row, Row]:
    """The two rows of a step: what is durable before it and after it."""
    listed = tuple((one, 1) if isinstance(one, Story) else one for one in stories)
    return (
        Row(FaultPoint(f"before_{step}"), before, then, listed),
        Row(FaultPoint(f"after_{step}"), after, then_after or then, listed),
    )


_ENTRY: Final = "the entry, pending"
_AGAIN: Final = "gets the entry again and begins at step 1"
_ATTEMPT: Final = "SENDING: number, client order id, timestamp, deadline"
_RESOLVES: Final = (
    "resolves the attempt: stream, query, and after the deadline the proof of death; only then the next"
)
_SENT: Final = _ATTEMPT + "; what was learnt of it, if it was written"
_BLOCKED: Final = "the refused attempt, as proven without effect"

PROCESS: Final = (
    *_around(
        "change",
        "the authority record as it was",
        "grant and freeze as they are now, and the event of it, in one script (here the BOOTSTRAP grant)",
        "reads the record again and thinks again; what is there stays",
        ALL_OF_IT,
    ),
    *_around(
        "lease",
        "an older epoch",
        "the lease for 3 s, under a new epoch",
        "waits until the lease has run out and takes it under a higher epoch",
        ALL_OF_IT,
    ),
    Row(
        FaultPoint.AFTER_MIRROR,
        "the lease; in the data folder, what this machine knows of the log",
        "makes sure of the log again",
        ((ALL_OF_IT, 1),),
    ),
    *_around("resume", "the lease", "the lease", "reads the open closes from their index again", ALL_OF_IT),
    *_around(
        "renewal",
        "the lease, of which a third is gone",
        "the lease for 3 s more",
        "takes the lease when it has run out; the close goes on from its records",
        LOST_ORDER,
    ),
    *_around(
        "drop",
        "the lease; the close, open and unresolved",
        "no lease; the close, open and unresolved",
        "takes the lease, at once where it was dropped, and goes on from the records",
        STOPPED,
    ),
)
_SWITCHED: Final = "tests/acceptance/test_acceptance_paths.py::_killed_in_a_switch"
SWITCH: Final = (
    Row(
        FaultPoint.BEFORE_SWITCH,
        "the grant with who is next; the lease; what was under way, open",
        "moves the grant once the lease has run out, whichever path's it is; then the next takes the lease",
        elsewhere=_SWITCHED,
    ),
    Row(
        FaultPoint.AFTER_SWITCH,
        "the grant, moved; no lease; what was under way, open; the event",
        "takes the lease if the grant is its own, and observes if not",
        elsewhere=_SWITCHED,
    ),
)
_RIGHT: Final = "tests/acceptance/test_acceptance_safety.py::_killed_around_its_right"
SAFETY: Final = (
    Row(
        FaultPoint.BEFORE_FIRE,
        "the lease",
        "judges anew, on what it has read since its start",
        elsewhere=_RIGHT,
    ),
    Row(
        FaultPoint.AFTER_FIRE,
        "the right to one close, until it runs out, and the event that is its cause; the try is used up",
        "judges anew; the right was that reign's and lets nothing pass, so the next close is the next try",
        elsewhere=_RIGHT,
    ),
)
_PROPOSED: Final = "tests/acceptance/test_acceptance_harvest.py::_killed_around_a_proposal"
HARVEST: Final = (
    Row(
        FaultPoint.BEFORE_PROPOSAL,
        "harvest's book as it was",
        "judges anew, on what it reads now; the name of the wish is the same",
        elsewhere=_PROPOSED,
    ),
    Row(
        FaultPoint.AFTER_PROPOSAL,
        "the intent, and in the book that it was asked for",
        "follows what comes of the wish; does not make it again",
        elsewhere=_PROPOSED,
    ),
)
STAGES: Final = (
    *_around(
        "slot",
        "nothing",
        "the reader's name for 3 s",
        "takes the lowest name that is free; what an older one left pending is claimed",
        ALL_OF_IT,
    ),
    *_around(
        "slot_release",
        "the reader's name, until it runs out",
        "nothing of the name",
        "takes a name that is free",
        STOPPED,
    ),
    *_around(
        "group",
        "the stream",
        "the group, at the beginning",
        "finds or makes the group; nothing is skipped",
        ALL_OF_IT,
    ),
    *_around(
        "read",
        "the entry, undelivered",
        "the entry, pending under the dead reader's name",
        "reads its own pending entries first, and claims those of names that nobody holds",
        ALL_OF_IT,
        WISH,
    ),
    *_around(
        "claim",
        "the entry, pending under the dead reader's name",
        "the entry, pending under ours; that a payload is gone, noted",
        "claims again, and reads what it was given",
        ORPHANS,
    ),
    *_around(
        "finish",
        "the entry, pending",
        "the acknowledgement, with what comes of the entry, in one script",
        "finishes the entry unless that is done: XACK returns 1 to one process only",
        WISH,
        (WISH, 2),
        UNREADABLE,
        ORPHANS,
        CONFLICT,
    ),
    *_around(
        "acknowledge",
        "the outcome of the plan; its repeated entries, pending",
        "all of it",
        "gets the entries again, finds the outcome in the journal and acknowledges",
        AGAIN,
    ),
    *_around(
        "letter",
        "that the payload is gone, noted",
        "the dead letter, and no note of it any more, in one script",
        "writes the letters of all that is noted",
        ORPHANS,
    ),
)
RECEIVE: Final = (
    *_around("load", _ENTRY, _ENTRY, _AGAIN, ALL_OF_IT, (HALVES, 2)),
    *_around(
        "record",
        "what was recorded before; what was learnt since, in memory only",
        "what was learnt: admission, answer, sighting",
        "reads the records and learns the rest again from the venue",
        HALVES,
        LOST_ORDER,
    ),
)
SIZE: Final = (
    *_around("rules", _ENTRY, _ENTRY, _AGAIN, ALL_OF_IT),
    *_around("mode", _ENTRY, _ENTRY, _AGAIN, SEEN),
    *_around(
        "position",
        _ENTRY,
        _ENTRY,
        "reads the position again: a sizing binds only once an attempt passed the gate with it",
        SEEN,
    ),
    *_around("history", _ENTRY, _ENTRY, "reads the account's trades since the decision again", FLAT_ALREADY),
    *_around("blockers", _BLOCKED, _BLOCKED, "lists again what rests", BLOCKED),
    *_around(
        "permit",
        _BLOCKED,
        _BLOCKED + ", and which orders are to be cancelled",
        "lists again what rests, and asks again whether it may cancel",
        BLOCKED,
        LEFTOVER,
    ),
    *_around(
        "cancel",
        "which orders are to be cancelled",
        "the same; the venue has cancelled one",
        "lists again what rests: what is gone needs no cancelling",
        BLOCKED,
        LEFTOVER,
    ),
)
GATE: Final = _around(
    "gate",
    _ENTRY + "; earlier attempts, each with its proof",
    _ATTEMPT,
    "reads the position and asks the gate; nothing was sent",
    ALL_OF_IT,
    (LOST_ORDER, 2),
    (SPLIT, 3),
    HALVES,
    then_after=_RESOLVES,
)
SEND: Final = (
    Row(FaultPoint.BEFORE_SEND, _ATTEMPT, _RESOLVES, ((ALL_OF_IT, 1), (PART, 2))),
    Row(FaultPoint.AFTER_BYTES, _ATTEMPT, _RESOLVES, ((ALL_OF_IT, 1), (LOST_ORDER, 1), (SPLIT, 2))),
    Row(FaultPoint.AFTER_ANSWER, _ATTEMPT, _RESOLVES, ((ALL_OF_IT, 1), (PART, 1))),
)
CLASSIFY: Final = (
    Row(
        FaultPoint.AFTER_CLASSIFY,
        _ATTEMPT,
        "learns the answer again, as the venue's state of the order",
        ((ALL_OF_IT, 1), (LOST_ORDER, 1), (BLOCKED, 1)),
    ),
)
RESOLVE: Final = (
    *_around("query", _SENT, _SENT, _RESOLVES, LOST_ORDER),
    Row(FaultPoint.BEFORE_EVIDENCE, _SENT, _RESOLVES, ((LOST_ORDER, 1),)),
    Row(FaultPoint.AFTER_EVIDENCE_POSITION, _SENT, _RESOLVES, ((LOST_ORDER, 1),)),
    Row(FaultPoint.AFTER_EVIDENCE_ORDERS, _SENT, _RESOLVES, ((LOST_ORDER, 1),)),
    Row(FaultPoint.AFTER_EVIDENCE_TRADES, _SENT, _RESOLVES, ((LOST_ORDER, 1),)),
)
CONFIRM: Final = (
    *_around(
        "fills", _SENT, _SENT, "finds the order and reads its trades from the venue", ALL_OF_IT, (PART, 2)
    ),
    *_around(
        "read_back", _SENT, _SENT, "reads trades and position again, after the last fill", ALL_OF_IT, PART
    ),
    *_around("leftovers", _SENT, _SENT, "lists again what rests", LEFTOVER),
)
PUBLISH: Final = _around(
    "publish",
    "what led to the outcome, as far as it was written",
    "outcome, confirmation, record and acknowledgement, in one script",
    "comes to the same outcome and publishes it",
    ALL_OF_IT,
    EXPIRED,
    (FLAT_ALREADY, 2),
    then_after="finds the outcome and does nothing",
)
_ARCHIVED: Final = (
    "tests/journal/test_archive.py::test_a_crash_at_each_step_converges_to_one_segment_and_an_empty_log"
)
_KILLED: Final = "tests/acceptance/test_acceptance_log_loss.py::killed_on_the_way"
_KEPT: Final = "finished closes, in the log"
_ANEW: Final = "writes the segment anew; a file that is not anchored counts for nothing"
SEGMENT: Final = (
    Row(FaultPoint.BEFORE_SEGMENT, _KEPT, _ANEW, elsewhere=_ARCHIVED),
    Row(FaultPoint.AFTER_SEGMENT, _KEPT + "; a file without its name", _ANEW, elsewhere=_ARCHIVED),
    Row(FaultPoint.AFTER_SEGMENT_NAMED, _KEPT + "; the file", _ANEW, elsewhere=_ARCHIVED),
    Row(FaultPoint.BEFORE_ANCHOR, _KEPT + "; the file, read back", _ANEW, elsewhere=_ARCHIVED),
    Row(
        FaultPoint.AFTER_ANCHOR,
        "the anchor, and what is left of the ids; the closes have left the log, in one script",
        "goes on with the next segment",
        elsewhere=_ARCHIVED,
    ),
)
LOSS: Final = (
    Row(
        FaultPoint.BEFORE_RECONCILED,
        "a log that lacks something",
        "waits and compares again",
        elsewhere=_KILLED,
    ),
    Row(
        FaultPoint.AFTER_RECONCILED,
        "the log's new identity, and the orders that it had lost",
        "knows the log by an identity before it, and goes on",
        elsewhere=_KILLED,
    ),
    *(
        Row(point, durable, "finds the order among the lost ones, or as an attempt", elsewhere=_KILLED)
        for point, durable in (
            (FaultPoint.BEFORE_ADOPTION, "an order among those that were lost"),
            (FaultPoint.AFTER_ADOPTION, "the attempt that it was, in the place of the lost order"),
        )
    ),
)
_CRASHED: Final = (
    "tests/services/test_audit_parts.py::test_a_crash_beside_the_logs_word_leaves_a_whole_audit_or_none"
)
AUDIT: Final = (
    Row(
        FaultPoint.BEFORE_AUDIT,
        "the evidence file",
        "audits anew; a file that the log does not know counts for nothing",
        elsewhere=_CRASHED,
    ),
    Row(
        FaultPoint.AFTER_AUDIT,
        "the file, and the log's word on it",
        "finds the audit; the map document is rewritten by the next one",
        elsewhere=_CRASHED,
    ),
)
_DRAINED: Final = "tests/acceptance/test_acceptance_backlog.py::killed_at_each_step"
_OWN: Final = "reads what is pending under its name first, and goes on where it was"
DRAIN: Final = (
    *(
        Row(point, durable, _OWN, elsewhere=_DRAINED)
        for point, durable in (
            (FaultPoint.BEFORE_DRAIN_NOTE, "the group as it was"),
            (FaultPoint.AFTER_DRAIN_NOTE, "that a drain began, and what had been lost before it"),
            (FaultPoint.BEFORE_DRAIN_BATCH, "the entries, pending under the drain's name"),
            (
                FaultPoint.AFTER_DRAIN_BATCH,
                "one row for each entry and its acknowledgement, in one script; the next page, pending",
            ),
        )
    ),
)
PARTS: Final[dict[str, tuple[Row, ...]]] = {
    "The process: who may execute, and what is taken up": PROCESS,
    "A switch of paths": SWITCH,
    "The safety controller": SAFETY,
    "Harvest": HARVEST,
    "The stages: a name to read under, entries, and their ends": STAGES,
    "1 Receive": RECEIVE,
    "2 Size, and what stands in the way": SIZE,
    "3 Gate and journal": GATE,
    "4 Send once": SEND,
    "5 Classify": CLASSIFY,
    "6 Resolve": RESOLVE,
    "7 Confirm": CONFIRM,
    "8 Publish": PUBLISH,
    "Afterwards: finished closes go to a segment": SEGMENT,
    "After a loss of the log": LOSS,
    "An audit": AUDIT,
    "A backlog is drained": DRAIN,
}
ROWS: Final = tuple(row for rows in PARTS.values() for row in rows)
HOWS: Final = ("exit", "kill")


def singles() -> Iterator[tuple[Story, Crash]]:
    """Every row with every story of its own, the two ways of dying in turn."""
    number = 0
    for row in ROWS:
        for story, crash in row.crashes():
            yield story, crash._replace(how=HOWS[number % 2])
            number += 1


def pairs_of(single: Played) -> list[tuple[Story, tuple[Crash, Crash]]]:
    """The same crash, and one at each point that the process after it came by, which dies the other way."""
    (first,) = single.crashes
    other = HOWS[first.how == "exit"]
    return [(single.story, (first, Crash(point, 1, other))) for point in single.reached[1]]
