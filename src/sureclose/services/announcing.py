"""What the world is told of an outcome: ``execution.result`` always, ``apply.result`` when something was executed."""

from collections.abc import Callable, Iterable

from sureclose.domain.events import Decision
from sureclose.domain.outcome import Report
from sureclose.journal.chain import Announcement
from sureclose.services.reading import Wiring
from sureclose.streams.encode import encode_report
from sureclose.streams.names import StreamName


def announcer(
    wiring: Wiring, wall: Callable[[], int]
) -> Callable[[Report, Decision], Iterable[Announcement]]:
    """The entries that are published with an outcome, in the same script."""

    def announce(report: Report, decision: Decision) -> Iterable[Announcement]:
        def encoded(*, as_confirmation: bool) -> dict[str, str]:
            fields = encode_report(
                report,
                wiring.producer,
                wall(),
                wiring.rules.mode,
                as_confirmation=as_confirmation,
                cause=decision.cause,
            )
            return wiring.marked(fields)

        full = wiring.streams.full
        if report.executed:
            yield Announcement(full(StreamName.APPLY_RESULT), encoded(as_confirmation=True))
        yield Announcement(full(StreamName.EXECUTION_RESULT), encoded(as_confirmation=False))

    return announce
