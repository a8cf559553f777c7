"""The parts of the configuration that the services read."""

import shlex
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import msgspec

from sureclose.domain.authority import Component
from sureclose.domain.policy import Clears
from sureclose.services.settings_tokens import TokenSettings, check_tokens
from sureclose.streams.names import GroupName, StreamName


class Path(StrEnum):
    """The two ways from an approved decision to a close. Who executes is who holds the grant."""

    HARVEST_BRAIN = "1A"
    EXECUTION_SERVICE = "1B"

    @property
    def component(self) -> Component:
        """Who has to hold the grant for this path to be the one that executes."""
        return _COMPONENTS[self]

    @classmethod
    def of(cls, component: str | None) -> "Path | None":
        """The path of a component; ``None`` for one that executes nothing."""
        return next((path for path in cls if path.component == component), None)


_COMPONENTS: Final = {
    Path.HARVEST_BRAIN: Component.HARVEST_BRAIN,
    Path.EXECUTION_SERVICE: Component.EXECUTION_SERVICE,
}


class Role(StrEnum):
    """What a process can be told to do; each has a file of its own in ``services``."""

    INTENT_EXECUTOR = "intent-executor"
    APPLY_LAYER = "apply-layer"
    EXECUTION = "execution"
    HARVEST_BRAIN = "harvest-brain"
    SAFETY = "safety"
    """The baseline safety controller, in a process of its own and only when it is named."""


class HarvestExecutor(StrEnum):
    """Who sends the orders of PATH 1A."""

    ENGINE = "engine"
    """The harvest brain itself, with the same close engine."""
    EXECUTION_SERVICE = "execution_service"
    """The execution service: the harvest brain hands each approved decision over on ``trade.intent``."""


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[streams]``: how the streams and groups are called. On a cluster the prefix holds a hash tag."""

    prefix: str = "quantum:stream:"
    intents: StreamName = StreamName.HARVEST_INTENT
    """What the intent executor reads."""
    intent_executor_group: str = GroupName.INTENT_EXECUTOR
    apply_layer_group: str = GroupName.APPLY_LAYER
    execution_group: str = GroupName.EXECUTION_EXITS
    harvest_brain_group: str = GroupName.HARVEST_BRAIN
    handover_group: str = GroupName.HANDOVER
    """With ``harvest_brain.executor = "execution_service"``: what the execution service reads ``trade.intent`` as."""

    def __post_init__(self) -> None:
        if not self.prefix or any(character.isspace() for character in self.prefix):
            raise ValueError("streams.prefix must not be empty or contain spaces")
        if self.intents not in {StreamName.HARVEST_INTENT, StreamName.TRADE_INTENT}:
            raise ValueError("streams.intents must be harvest.intent or trade.intent")
        if self.execution_group == self.harvest_brain_group:
            raise ValueError(
                "streams.execution_group and streams.harvest_brain_group read one stream, so they must differ: in one group "
                "each path would be given half of the approvals"
            )

    def full(self, name: StreamName) -> str:
        """The stream's full name."""
        return self.prefix + name


class ExecutionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[execution]``: which path executes, how old an approval may be, and the margins of proof (milliseconds)."""

    path: Path = Path.EXECUTION_SERVICE
    """Whose grant the first one on paper is, and who takes the lease while nobody holds a grant."""
    max_age_s: int = 60
    drain_s: int = 10
    """How long a stopping process lets closes under way finish; what has not by then is taken up by the next."""
    most_in_flight: int = 10_000
    """Closes under way in one process, those that wait for the venue's limits included: they are admitted, so that
    their age is judged, and none grows too old in the stream. Further entries stay there."""
    margin_ms: int = 1_000
    spread_ms: int = 1_000
    park_after_ms: int = 60_000
    clears: Clears = Clears.REDUCING
    """Which resting orders are cancelled when the venue refuses to close because of them."""
    tidies: bool = True
    """Whether reducing orders that a flat position leaves behind are cancelled."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_age_s <= 86_400:
            raise ValueError("execution.max_age_s must be from 1 to 86400")
        if self.drain_s < 0 or self.most_in_flight < 1:
            raise ValueError("execution.drain_s must not be negative and execution.most_in_flight at least 1")
        if self.margin_ms < 100 or self.spread_ms < 100 or self.park_after_ms < self.margin_ms:
            raise ValueError(
                "execution.margin_ms and spread_ms must be at least 100, park_after_ms at least margin_ms"
            )


class HarvestBrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[harvest_brain]``: PATH 1A."""

    executor: HarvestExecutor = HarvestExecutor.ENGINE


class AuthoritySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[authority]``: when a controller has stopped proving itself, and what evidence counts (seconds)."""

    absence_s: int = 60
    """How long nobody may hold a valid lease before the account is frozen."""
    ghost_s: int = 120
    """How long the controller's group may have unread entries without being given one."""
    path_broken_s: int = 300
    """How long an approved close may be without an outcome while the venue takes orders."""
    unverifiable_s: int = 300
    """How long the controller's path may be impossible to judge."""
    evidence_max_age_s: int = 3_600
    """How old the newest evidence of an audit may be when a grant or an unfreeze names it."""
    audit_min_closes: int = 1
    """Confirmed closes that an audit must find, each traced from event to fill."""
    audit_min_restarts: int = 1
    """Recorded starts of the controller after the first that an audit must find."""
    exclusive_exits: bool = False
    """Whether a reducing order that is not ours is a breach."""
    map_file: str = ""
    """The authority map document, rewritten by each audit that passes. Empty: none."""

    def __post_init__(self) -> None:
        numbers = (
            self.absence_s,
            self.ghost_s,
            self.path_broken_s,
            self.unverifiable_s,
            self.evidence_max_age_s,
            self.audit_min_closes,
        )
        if min(numbers) < 1 or self.audit_min_restarts < 0:
            raise ValueError("what [authority] counts and times must be at least 1, audit_min_restarts 0")


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[journal]``: how long finished closes stay in the log before they go to a segment, and how long streams get."""

    archive_after_s: int = 3_600
    keep_finished: int = 1_000
    """Finished closes that stay in the log whatever their age below ``archive_after_s``."""
    segment_closes: int = 100
    """Closes of one segment. The log stands still while they leave it, some 40 microseconds for each."""
    keep_entries: int = 10_000
    """Entries that stay in each stream, beyond those that some group has not finished."""

    def __post_init__(self) -> None:
        if self.archive_after_s < 0 or self.keep_finished < 0:
            raise ValueError("journal.archive_after_s and journal.keep_finished must not be negative")
        if not 1 <= self.segment_closes <= 1_000:
            raise ValueError("journal.segment_closes must be from 1 to 1000")
        if self.keep_entries < 1:
            raise ValueError("journal.keep_entries must be at least 1")


class CompatSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[compat]``: what older producers mean."""

    execute_is_approval: bool = False


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[http]``: the web server and its door for closes. Port 0 takes a free one and prints it."""

    host: str = "127.0.0.1"
    port: int = 8710
    token: str = ""
    """The secret of a machine's token called ``default`` that may do everything. A person's is one of ``tokens``."""
    tokens: tuple[TokenSettings, ...] = ()
    rate_per_s: int = 1_000
    """Requests per second of one token; as many may come at once."""
    max_body_bytes: int = 65_536
    most_waiting: int = 256
    """Long polls and event streams that one process holds open."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError("http.port must be from 0 to 65535")
        if self.rate_per_s < 1 or self.most_waiting < 1:
            raise ValueError("http.rate_per_s and http.most_waiting must be at least 1")
        if not 1_024 <= self.max_body_bytes <= 1_048_576:
            raise ValueError("http.max_body_bytes must be from 1024 to 1048576")
        if self.token and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise ValueError("http.token must be printable ASCII without spaces: it travels in a header")
        check_tokens(self.tokens, default=bool(self.token))


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[alerts]``: where alarms go, and from when on two conditions are alarms (seconds)."""

    command: str = ""
    """Run for each alarm, split as a shell would but without one; the alarm is JSON on its standard input."""
    webhook_url: str = ""
    """Each alarm is posted there as JSON. It may hold a secret, and is shown nowhere."""
    unknown_s: int = 10
    """How long the fate of an order may be unknown: above what finding it out takes (window, margin, spread: 4 s)."""
    blind_s: int = 30
    """How long positions may be unreadable."""

    def __post_init__(self) -> None:
        if self.command and not self.arguments:
            raise ValueError("alerts.command names no program")
        address = urlsplit(self.webhook_url)
        if self.webhook_url and (address.scheme not in {"http", "https"} or not address.hostname):
            raise ValueError("alerts.webhook_url must be an http:// or https:// address")
        if self.unknown_s < 1 or self.blind_s < 1:
            raise ValueError("alerts.unknown_s and alerts.blind_s must be at least 1")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command as the program and its arguments; raises ``ValueError`` for quotes that don't close."""
        return tuple(shlex.split(self.command))
