"""What became of a wish, by the journal: the one place that knows."""

from sureclose.domain.close import Done, fold
from sureclose.domain.harvest.wishes import Fate, Wish, fate_of_kind, fate_of_report, fate_unbegun
from sureclose.domain.report import report_of
from sureclose.journal.store import Journal


async def fate_of(journal: Journal, wish: Wish, now: int) -> tuple[Fate, str]:
    """The fate and the outcome in words; ``now`` is the log's milliseconds. Raises what the log raises, and ``ChainBroken``."""
    loaded = await journal.load(wish.plan_id)
    if loaded is None:
        fate = fate_unbegun(wish, now)
        return fate, "" if fate is Fate.PENDING else "nobody began it while it was valid"
    if loaded.burnt is not None:
        return fate_of_kind(wish, loaded.burnt.kind), str(loaded.burnt.kind)
    state = fold(loaded.facts)
    if not isinstance(state, Done):
        return Fate.PENDING, ""
    report = report_of(state, loaded.hashes[-1])
    return fate_of_report(wish, report), str(report.outcome)
