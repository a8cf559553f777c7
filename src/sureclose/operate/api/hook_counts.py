"""How many alerts each hook had, and what became of them."""

from collections import Counter
from collections.abc import Collection, Iterable
from enum import StrEnum

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class Became(StrEnum):
    """What became of an alert at the door."""

    TAKEN = "taken"
    REPEATED = "repeated"
    IGNORED = "ignored"
    REFUSED = "refused"


class HookCounts(Collector):
    """For Prometheus. Names are those of the configuration: an unknown one is never a label."""

    def __init__(self, names: Collection[str]) -> None:
        self._counts = Counter(dict.fromkeys(((name, became) for name in names for became in Became), 0))
        self._unknown = 0

    def count(self, name: str, became: Became) -> None:
        self._counts[name, became] += 1

    def count_unknown(self) -> None:
        """An alert for no hook, or without its secret."""
        self._unknown += 1

    def collect(self) -> Iterable[Metric]:
        alerts = CounterMetricFamily(
            "sureclose_hook_alerts", "Alerts by what became of them.", labels=("hook", "became")
        )
        for (name, became), count in self._counts.items():
            alerts.add_metric((name, became), count)
        yield alerts
        unknown = CounterMetricFamily("sureclose_hook_alerts_unknown", "Alerts without a hook's secret.")
        unknown.add_metric((), self._unknown)
        yield unknown
