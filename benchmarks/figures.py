"""From times to figures: percentiles of each round, and ratios of ours to the floor's."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

import msgspec

from benchmarks.producer import Burst, Timed

_NS_PER_MS = 1e6


class Sample(msgspec.Struct, frozen=True):
    """What one side did in one round."""

    closes: tuple[Timed, ...]
    bursts: tuple[Burst, ...]


class Round(msgspec.Struct, frozen=True):
    """One round: floor, ours, ours, floor, so that a drift of the machine falls on both."""

    ours: Sample
    floor: Sample


class Row(msgspec.Struct, frozen=True):
    """One figure. ``ours`` and ``floor`` are of all rounds together, ``ratios`` has one of each round."""

    name: str
    unit: str
    goal: str
    ours: float
    floor: float
    ratios: tuple[float, ...]

    @property
    def spread(self) -> tuple[float, float, float]:
        """Smallest, median and largest ratio."""
        return min(self.ratios), median(self.ratios), max(self.ratios)


Measure = Callable[[Iterable[Sample]], float]


def to_order_ms(close: Timed) -> float:
    """From the decision's XADD to the order at the venue."""
    return (close.sent_ns - close.decided_ns) / _NS_PER_MS


def durable_to_order_ms(close: Timed) -> float:
    """From the log's answer to that XADD to the order at the venue."""
    return (close.sent_ns - close.durable_ns) / _NS_PER_MS


def to_flat_ms(close: Timed) -> float:
    """From the decision's XADD to the durable outcome."""
    return (close.flat_ns - close.decided_ns) / _NS_PER_MS


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least ``share`` of them don't exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def rows(rounds: Sequence[Round]) -> list[Row]:
    """Rows 1 to 3 of the budget."""

    def latency(of: Callable[[Timed], float], share: float) -> Measure:
        return lambda samples: percentile((of(one) for sample in samples for one in sample.closes), share)

    def per_second(samples: Iterable[Sample]) -> float:
        bursts = [burst for sample in samples for burst in sample.bursts]
        return sum(burst.closes for burst in bursts) / sum(burst.seconds for burst in bursts)

    wanted: list[tuple[str, str, str, Measure]] = [
        ("decision → order at the venue, p50", "ms", "<= 1.3 x", latency(to_order_ms, 0.5)),
        ("decision → order at the venue, p99", "ms", "<= 2 x", latency(to_order_ms, 0.99)),
        ("decision durable → order at the venue, p50", "ms", "", latency(durable_to_order_ms, 0.5)),
        ("decision → verified flat, p50", "ms", "<= 3 x", latency(to_flat_ms, 0.5)),
        ("decision → verified flat, p99", "ms", "", latency(to_flat_ms, 0.99)),
        ("closes per second, at once", "1/s", ">= 1,000", per_second),
    ]
    return [
        Row(
            name,
            unit,
            goal,
            ours=measure(one.ours for one in rounds),
            floor=measure(one.floor for one in rounds),
            ratios=tuple(measure([one.ours]) / measure([one.floor]) for one in rounds),
        )
        for name, unit, goal, measure in wanted
    ]
