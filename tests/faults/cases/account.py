"""What changes for the whole account: the exchange's clock."""

from collections.abc import Iterator
from typing import Final

from tests.faults.scenario import HELD, Ask, Control, End, Ended, Scenario, Where, fault

KIND: Final = "The exchange's clock"

_HALF: Final = HELD // 2
_OFFSETS: Final = {5_000: "5 s ahead", -5_000: "5 s behind", 300_000: "5 min ahead", -300_000: "5 min behind"}


def _skewed() -> Iterator[Scenario]:
    """Half is closed before the clock is set off, the rest after it."""
    for offset, words in _OFFSETS.items():
        for name, heard in (("", ""), ("answer_dropped", ", and the answer is lost")):
            yield Scenario(
                f"the clock is set to {words} between two closes{heard}",
                KIND,
                (
                    Ask("a", part="0.5"),
                    Ended("a"),
                    Control("clock", {"offset_ms": offset}),
                    *([fault(name)] if name else []),
                    Ask("b"),
                ),
                ends=(End("a", ("REDUCED",), _HALF), End("b", ("FLAT",), _HALF)),
                effective=2,
                least_sent=2,
                where=Where.ALONE,
            )


SCENARIOS: Final[tuple[Scenario, ...]] = tuple(_skewed())
