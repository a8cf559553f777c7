"""One line of what an operator's commands find."""

from enum import StrEnum

import msgspec


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line: what was looked at, how it is, and what to do."""

    name: str
    status: Status
    detail: str
    remedy: str = ""
