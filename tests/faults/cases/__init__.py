"""All scenarios, by kind."""

from typing import Final

from tests.faults.cases.account import SCENARIOS as ACCOUNT
from tests.faults.cases.answers import SCENARIOS as ANSWERS
from tests.faults.cases.blockers import SCENARIOS as BLOCKERS
from tests.faults.cases.plans import SCENARIOS as PLANS
from tests.faults.cases.positions import SCENARIOS as POSITIONS
from tests.faults.cases.reads import SCENARIOS as READS
from tests.faults.cases.refusals import SCENARIOS as REFUSALS
from tests.faults.cases.streams import SCENARIOS as STREAMS
from tests.faults.scenario import Scenario

ALL: Final[tuple[Scenario, ...]] = (
    *ANSWERS,
    *READS,
    *STREAMS,
    *REFUSALS,
    *BLOCKERS,
    *POSITIONS,
    *PLANS,
    *ACCOUNT,
)
