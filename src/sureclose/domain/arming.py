"""The arming of the baseline safety controller, and why it may not act now."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.authority import Authority
from sureclose.domain.times import iso_ms

SUNSET_MS: Final = 30 * 86_400_000
"""How long an arming lasts. Whoever still needs it then has not solved what it is for."""


class Armed(StrEnum):
    """What the record says. Whether it lets the controller act depends on the freeze and the time as well."""

    ARMED = "ARMED"
    DISARMED = "DISARMED"
    EXPIRED = "EXPIRED"


class Arming(msgspec.Struct, frozen=True, kw_only=True):
    """The last arming. Times are the log's milliseconds; ``freeze_at`` is the freeze that it was made under.

    ``checked`` is what was compared before it, as JSON: environment, host, account, positions (incident 65).
    """

    state: Armed
    actor: str
    armed_at: int
    expires_at: int
    revision: int
    freeze_at: str
    place: str = ""
    """Environment, host and key that were checked; a process that talks to another place may not act on it."""
    checked: str = ""
    ended_at: int = 0
    ended_by: str = ""

    @classmethod
    def of(cls, record: Mapping[str, str]) -> "Arming | None":
        """``None`` when nothing was ever armed."""
        return msgspec.convert(dict(record), cls, strict=False) if record else None

    def record(self) -> dict[str, str]:
        return {name: str(getattr(self, name)) for name in self.__struct_fields__}

    def overdue(self, now: int) -> bool:
        """Whether its sunset has come and is not recorded yet."""
        return self.state is Armed.ARMED and now >= self.expires_at


def why_not(standing: Authority, arming: Arming | None, holder: str, place: str, now: int) -> Iterator[str]:
    """Everything that keeps the controller from acting, as the script that judges it would; nothing when it may.

    ``holder`` is who holds the lease, if it is somebody else; ``place`` is where this process would close, ``now`` the
    log's time.
    """
    if not standing.frozen:
        yield "the account is not frozen"
    if holder:
        yield f"{holder} holds the lease"
    if arming is None:
        yield "it is not armed: `sureclose safety arm`"
        return
    if arming.state is Armed.DISARMED:
        yield f"{arming.ended_by or 'somebody'} disarmed it"
    elif arming.state is Armed.EXPIRED or arming.overdue(now):
        yield f"its arming ended at {iso_ms(arming.expires_at)}: `sureclose safety arm` again, if it has to go on"
    elif standing.frozen and standing.freeze.get("at") != arming.freeze_at:
        yield "it was armed under another freeze, which was lifted: `sureclose safety arm` again"
    elif arming.place != place:
        yield f"it was armed for {arming.place}, and this process talks to {place}"
